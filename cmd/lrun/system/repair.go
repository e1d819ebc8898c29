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
	"github.com/lrun-dev/lrun/rootfs/chain"
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
				depths[f.ID] = f.Depth
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
		return repairRecords(ctx, w, driver, store, found)
	})
}

// repairRecords makes the records of snapshots name what is below them, and removes those among found that say nothing and that no
// image and no container needs any more.
func repairRecords(ctx context.Context, w io.Writer, driver string, store *rootfs.Store, found []check.Finding) error {
	changed, err := store.Snapshots.Relink(ctx)
	for _, key := range changed {
		_, writeErr := fmt.Fprintf(w, "repaired: record of %s (%s): it names what is below it\n", format.Visible(format.ShortID(key)), driver)
		err = errors.Join(err, writeErr)
	}
	for _, f := range found {
		if f.Kind != "record" || f.Key == "" || f.Driver != driver || f.Remedy != "" || f.Severity != check.Damage || len(f.Images) > 0 {
			continue
		}
		clearErr := store.Snapshots.Clear(f.Key)
		if clearErr == nil {
			_, clearErr = fmt.Fprintf(w, "repaired: record %s (%s): it said nothing, and is removed\n", format.Visible(f.ID), driver)
		}
		err = errors.Join(err, clearErr)
	}
	return err
}

// remake unpacks one layer again while no container runs on it. One that cannot be made is noted, so that the next load
// of its image makes it.
func remake(ctx context.Context, e *env.Env, store *rootfs.Store, key string) (err error) {
	var held hold.Containers
	defer func() { err = errors.Join(err, held.Close()) }()
	err = store.Remake(ctx, key, func() error { return held.On(ctx, e.Runtime(), store.Snapshots, key) })
	if err != nil && ctx.Err() == nil {
		noted := heal.New(e.Root(), store.Snapshots).Note(ctx, key)
		if !chain.Absent(noted) { // what is not there needs no note
			err = errors.Join(err, noted)
		}
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
