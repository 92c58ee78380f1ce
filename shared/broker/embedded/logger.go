package embedded

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
)

// logger passes the server's messages on to slog. Its notices are debug messages
// here: they tell about the server, not about the content that travels.
type logger struct {
	log   *slog.Logger
	mu    sync.Mutex
	fatal string
}

func (l *logger) say(level slog.Level, format string, v []any) {
	ctx := context.Background()
	if l.log.Enabled(ctx, level) {
		l.log.Log(ctx, level, "broker", "text", fmt.Sprintf(format, v...))
	}
}

// afterCrash are parts of warnings that the server gives when it was killed and starts
// again: it reads what it had only written down for speed. Nothing is wrong then.
var afterCrash = []string{"TTL state is outdated", "Stream state outdated", "Recovering stream state from index errored"}

func warning(format string) slog.Level {
	for _, part := range afterCrash {
		if strings.Contains(format, part) {
			return slog.LevelDebug
		}
	}
	return slog.LevelWarn
}

func (l *logger) Noticef(format string, v ...any) { l.say(slog.LevelDebug, format, v) }
func (l *logger) Warnf(format string, v ...any)   { l.say(warning(format), format, v) }
func (l *logger) Errorf(format string, v ...any)  { l.say(slog.LevelError, format, v) }
func (l *logger) Debugf(format string, v ...any)  { l.say(slog.LevelDebug, format, v) }
func (l *logger) Tracef(string, ...any)           {}

// Fatalf keeps the reason for Start to return: the process is not the server's to end.
func (l *logger) Fatalf(format string, v ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fatal == "" {
		l.fatal = fmt.Sprintf(format, v...)
	}
}

func (l *logger) died() (reason string, dead bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fatal, l.fatal != ""
}
