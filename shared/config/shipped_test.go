package config

import (
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const deployments = "../../deployments"

// compose is a Compose file, as far as it is looked at.
type compose struct {
	Services map[string]struct {
		Image       string            `yaml:"image"`
		Command     []string          `yaml:"command"`
		Environment map[string]string `yaml:"environment"`
		Volumes     []string          `yaml:"volumes"`
		Secrets     []string          `yaml:"secrets"`
		Ports       []string          `yaml:"ports"`
		Build       struct {
			Dockerfile string            `yaml:"dockerfile"`
			Args       map[string]string `yaml:"args"`
		} `yaml:"build"`
	} `yaml:"services"`
	Volumes map[string]any `yaml:"volumes"`
	Secrets map[string]struct {
		File string `yaml:"file"`
	} `yaml:"secrets"`
}

func readCompose(t *testing.T, name string) *compose {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(deployments, name))
	if err != nil {
		t.Fatal(err)
	}
	c := &compose{}
	if err := yaml.Unmarshal(data, c); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return c
}

func TestTheShippedConfigurationsAreTaken(t *testing.T) {
	t.Setenv("SYNCHRO_BROKER", "nats://broker:4222")
	t.Setenv("SYNCHRO_HTTP", "127.0.0.1:8380")
	t.Setenv("SYNCHRO_TOKEN_FILE", "")
	for _, name := range []string{"synchro.yaml", "broker.yaml", "plone.yaml"} {
		if _, err := Load(filepath.Join(deployments, name)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTheContainersOfTwoPloneSitesFitTheirConfiguration(t *testing.T) {
	t.Setenv("SYNCHRO_BROKER", "nats://broker:4222")
	t.Setenv("SYNCHRO_HTTP", "127.0.0.1:8380")
	cfg, err := Load(filepath.Join(deployments, "plone.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	c := readCompose(t, "compose.plone.yml")
	for name, s := range cfg.Sites {
		u, err := url.Parse(s.Plone.URL)
		if err != nil {
			t.Fatal(err)
		}
		site := c.Services[u.Hostname()]
		if site.Environment["SITE"] != strings.Trim(u.Path, "/") || !strings.HasPrefix(site.Image, "plone/plone-backend:") {
			t.Errorf("site %s is at %s, where %+v answers", name, u, site)
		}
		if len(site.Ports) != 1 || !strings.HasPrefix(site.Ports[0], "127.0.0.1:") || !strings.HasSuffix(site.Ports[0], ":"+u.Port()) {
			t.Errorf("site %s has the ports %v", name, site.Ports)
		}
		secret := filepath.Base(s.Plone.PasswordFile)
		if c.Secrets[secret].File == "" || !isFile(filepath.Join(deployments, "plone.password")) || !strings.Contains(c.Secrets[secret].File, "plone.password") {
			t.Errorf("the password of %s is %q", name, c.Secrets[secret].File)
		}
	}
	for role, sites := range map[string][]string{"exporter": cfg.Sources(), "importer": cfg.Receivers()} {
		command := c.Services[role].Command
		if len(command) != 3 || command[0] != role || !slices.Contains(sites, command[2]) || !slices.Contains(c.Services[role].Secrets, "plone") {
			t.Errorf("%s runs %v", role, command)
		}
	}
}

func TestWhatTheContainersOfTwoPloneSitesMountIsThere(t *testing.T) {
	c := readCompose(t, "compose.plone.yml")
	broker := c.Services["broker"]
	if !isFile(filepath.Join("../..", broker.Build.Dockerfile)) {
		t.Errorf("there is no %s", broker.Build.Dockerfile)
	}
	used := map[string]bool{}
	for name, s := range c.Services {
		for _, v := range s.Volumes {
			if v == "/tmp" {
				continue // a volume without a name, for which the image has a place
			}
			from, to, _ := strings.Cut(v, ":")
			_, volume := c.Volumes[from]
			used[from] = true
			if !volume && !isFile(filepath.Join(deployments, from)) {
				t.Errorf("%s mounts %s, which is neither a volume nor a file", name, from)
			}
			ours := !strings.HasPrefix(s.Image, "plone/")
			if in, ok := strings.CutPrefix(to, "/data/"); ok && ours && in != "broker" && !slices.Contains(strings.Fields(broker.Build.Args["SITES"]), in) {
				t.Errorf("%s mounts %s, for which the image has no place", name, to)
			}
		}
	}
	for v := range c.Volumes {
		if !used[v] {
			t.Errorf("nothing uses the volume %s", v)
		}
	}
}

func TestTheContainersHaveThePloneThatIsTested(t *testing.T) {
	script, err := os.ReadFile("../../scripts/plone")
	if err != nil {
		t.Fatal(err)
	}
	tested := regexp.MustCompile(`(?m)^version=(.+)$`).FindSubmatch(script)
	if image := readCompose(t, "compose.plone.yml").Services["hq"].Image; tested == nil || !strings.Contains(image, ":-"+string(tested[1])+"}") {
		t.Errorf("the image is %s, and what is tested is %s", image, tested)
	}
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
