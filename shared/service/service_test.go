package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"testing"

	"synchro.example/shared/broker/brokertest"
	"synchro.example/shared/config"
	"synchro.example/shared/fault"
	"synchro.example/shared/lifecycle"
)

func TestErrorsBecomeTheirExitStatus(t *testing.T) {
	for want, errs := range map[int][]error{
		Done:     {nil},
		LeftOver: {ErrLeftOver, fmt.Errorf("settle: %w", ErrLeftOver)},
		Usage:    {fmt.Errorf("load: %w", fault.Errorf(fault.Stop, fault.Misconfigured, "no"))},
		Failed:   {errors.New("any"), fault.Errorf(fault.Stop, fault.LeaseLost, "no"), context.Canceled},
	} {
		for _, err := range errs {
			if got := ExitStatus(err); got != want {
				t.Errorf("%v: got %d, want %d", err, got, want)
			}
		}
	}
}

func TestWrongArgumentsAreWrongUsage(t *testing.T) {
	for name, args := range map[string][]string{
		"unknown option": {"--what"}, "an argument too many": {"--site", "a", "b"}, "no site": nil, "no such file": {"--site", "a", "--config", "no/such/file.yaml"},
	} {
		err := runArgs(t.Context(), "synchro-test", args, slog.New(slog.DiscardHandler), nil, true)
		if ExitStatus(err) != Usage {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestHealthIsToldWhileTheBrokerIsThere(t *testing.T) {
	env := &Env{Config: &config.Config{}, NC: brokertest.Conn(t), Log: slog.New(slog.DiscardHandler)}
	env.Config.HTTP.Listen = "127.0.0.1:0"
	stop, err := serveHealth(t.Context(), env, nil)
	if err != nil {
		t.Fatal(err)
	}
	stop()
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	env.Config.HTTP.Listen = taken.Addr().String()
	if stop, err = serveHealth(t.Context(), env, nil); err != nil {
		t.Errorf("another process has the address: %v", err)
	}
	stop()
	env.Config.HTTP.Listen = "256.0.0.1:1"
	if _, err := serveHealth(t.Context(), env, nil); ExitStatus(err) != Usage {
		t.Errorf("got %v", err)
	}
}

func TestServeEndsWithItsPartsError(t *testing.T) {
	env := &Env{Config: &config.Config{}, NC: brokertest.Conn(t), Log: slog.New(slog.DiscardHandler)}
	mine := errors.New("mine")
	err := Serve(t.Context(), env, []lifecycle.Part{{Name: "one", Run: func(_, _ context.Context) error { return mine }}})
	if !errors.Is(err, mine) {
		t.Errorf("got %v", err)
	}
}
