package system

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/lrun-dev/lrun/cmd/lrun/internal/env"
	"github.com/lrun-dev/lrun/cmd/lrun/internal/format"
	"github.com/lrun-dev/lrun/cmd/lrun/internal/hold"
	"github.com/lrun-dev/lrun/rootfs"
	"github.com/lrun-dev/lrun/rootfs/check"
	"github.com/lrun-dev/lrun/rootfs/heal"
	"github.com/lrun-dev/lrun/snapshot/layout"
)

// repair unpacks the damaged layers among found again, parents first, and says what became of each.
func repair(ctx context.Context, e *env.Env, w io.Writer, found []check.Finding) error {
	return e.EachOrLost(func(driver string, store *rootfs.Store, lost *layout.Lost) error {
		if lost != nil {
			_, err := fmt.Fprintf(w, "not repaired: record %s (%s): %s\n", format.Visible(lost.Records), driver, format.Visible(lost.Remedy()))
			return err
		}
		depths := map[string]int{}
		for _, f := range found {
			if f.Kind == "layer" && f.Severity == check.Damage && f.Driver == driver {
				chain, err := store.Snapshots.Chain(ctx, f.ID)
				if err != nil {
					continue // its record is damaged too, which was told
				}
				depths[f.ID] = len(chain)
			}
		}
		var keys []string
		for key := range depths {
			keys = append(keys, key)
		}
		slices.SortFunc(keys, func(a, b string) int { return depths[a] - depths[b] })
		for _, key := range keys {
			said := "repaired: layer %s (%s)\n"
			args := []any{format.ShortID(key), driver}
			if err := remake(ctx, e, store, key); err != nil {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				said, args = "not repaired: layer %s (%s): %s\n", append(args, format.Visible(err.Error()))
			}
			if _, err := fmt.Fprintf(w, said, args...); err != nil {
				return err
			}
		}
		return nil
	})
}

// remake unpacks one layer again while no container runs on it. One that cannot be made is noted, so that the next load
// of its image makes it.
func remake(ctx context.Context, e *env.Env, store *rootfs.Store, key string) (err error) {
	var held hold.Containers
	defer func() { err = errors.Join(err, held.Close()) }()
	err = store.Remake(ctx, key, func() error { return held.On(ctx, e, store.Snapshots, key) })
	if err != nil && ctx.Err() == nil {
		err = errors.Join(err, heal.New(e.Root(), store.Snapshots).Note(ctx, key))
	}
	return err
}

// repairVolumes gives the volumes among found a record that have files and no sound one, and says what became of each.
func repairVolumes(e *env.Env, found []check.Finding) error {
	for _, f := range found {
		if f.Kind != "volume" || f.Severity != check.Damage {
			continue
		}
		line := "repaired: volume " + f.ID + ": "
		did, err := e.Volumes().Repair(f.ID)
		if err != nil {
			line, did = "not "+line, err.Error()
		}
		if _, err := fmt.Fprintln(e.Out, format.Visible(line+did)); err != nil {
			return err
		}
	}
	return nil
}
