package demosite

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math"
	"math/rand/v2"
)

// picture is an image of waves below a sky. Grain makes it look like a photograph,
// and takes room as one does.
type picture struct {
	path          string
	width, height int
	waves         float64
	grain         int // 0 for a drawing
}

var pictures = []picture{
	{"images/logo.png", 64, 64, 2, 0},
	{"images/banner.png", 640, 160, 9, 0},
	{"images/quay/north.png", 160, 120, 5, 6},
	{"images/quay/east-door.png", 160, 120, 3, 6},
	{"exhibitions/storm/poster.png", 480, 640, 6, 24}, // above 256 KiB
}

var (
	sky = color.RGBA{0xdb, 0xe9, 0xee, 0xff}
	sea = color.RGBA{0x16, 0x69, 0x7a, 0xff}
)

func (p picture) png() ([]byte, error) {
	random := rand.New(rand.NewPCG(uint64(p.width), uint64(p.height)))
	m := image.NewRGBA(image.Rect(0, 0, p.width, p.height))
	for y := range p.height {
		for x := range p.width {
			m.SetRGBA(x, y, p.at(x, y, random))
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		return nil, fmt.Errorf("draw %s: %w", p.path, err)
	}
	return b.Bytes(), nil
}

func (p picture) at(x, y int, random *rand.Rand) color.RGBA {
	across := float64(x) / float64(p.width)
	crest := 0.5 + 0.08*math.Sin(2*math.Pi*p.waves*across)
	c, depth := sky, float64(y)/float64(p.height)
	if depth > crest {
		c = sea
	}
	grain := func(v uint8) uint8 {
		if p.grain == 0 {
			return v
		}
		return uint8(min(max(int(v)+random.IntN(2*p.grain)-p.grain, 0), 255))
	}
	return color.RGBA{grain(c.R), grain(c.G), grain(c.B), 0xff}
}
