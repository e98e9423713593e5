// Checks a log with the fsck of Tessera, and proofs with the proof format and Merkle code of transparency.dev.
//
//	fsck log DIR VKEY                  the whole log
//	fsck proof FILE ENTRY VKEY         that the bytes in ENTRY are in the log, by a .tlog-proof
//	fsck consistent DIR OLD VKEY       that the log continues the checkpoint in OLD
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/transparency-dev/formats/log"
	"github.com/transparency-dev/formats/proof"
	merkle "github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/api"
	"github.com/transparency-dev/tessera/client"
	"github.com/transparency-dev/tessera/fsck"
	"golang.org/x/mod/sumdb/note"
)

// The fsck never returns on some damaged logs: not returning is rejecting.
const patience = 5 * time.Second

func hashes(bundle []byte) ([][]byte, error) {
	var entries api.EntryBundle
	if err := entries.UnmarshalText(bundle); err != nil {
		return nil, err
	}
	leaves := make([][]byte, 0, len(entries.Entries))
	for _, entry := range entries.Entries {
		leaves = append(leaves, rfc6962.DefaultHasher.HashLeaf(entry))
	}
	return leaves, nil
}

func checkLog(dir string, verifier note.Verifier) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		check := fsck.New(verifier.Name(), verifier, client.FileFetcher{Root: dir}, hashes, fsck.Opts{N: 1})
		done <- check.Check(ctx)
	}()
	select {
	case err := <-done:
		return err
	case <-time.After(patience):
		return fmt.Errorf("no answer within %v", patience)
	}
}

func checkProof(file, entry string, verifier note.Verifier) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	leaf, err := os.ReadFile(entry)
	if err != nil {
		return err
	}
	var p proof.TLogProof
	if err := p.Unmarshal(text); err != nil {
		return err
	}
	checkpoint, _, _, err := log.ParseCheckpoint(p.Checkpoint, verifier.Name(), verifier)
	if err != nil {
		return err
	}
	path := make([][]byte, len(p.Hashes))
	for i := range p.Hashes {
		path[i] = p.Hashes[i][:]
	}
	h := rfc6962.DefaultHasher
	return merkle.VerifyInclusion(h, p.Index, checkpoint.Size, h.HashLeaf(leaf), path, checkpoint.Hash)
}

func checkConsistent(dir, older string, verifier note.Verifier) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	text, err := os.ReadFile(older)
	if err != nil {
		return err
	}
	old, _, _, err := log.ParseCheckpoint(text, verifier.Name(), verifier)
	if err != nil {
		return err
	}
	fetcher := client.FileFetcher{Root: dir}
	now, _, _, err := client.FetchCheckpoint(ctx, fetcher.ReadCheckpoint, verifier, verifier.Name())
	if err != nil {
		return err
	}
	builder, err := client.NewProofBuilder(ctx, now.Size, fetcher.ReadTile)
	if err != nil {
		return err
	}
	path, err := builder.ConsistencyProof(ctx, old.Size, now.Size)
	if err != nil {
		return err
	}
	return merkle.VerifyConsistency(rfc6962.DefaultHasher, old.Size, now.Size, path, old.Hash, now.Hash)
}

func run(args []string) error {
	verifier, err := note.NewVerifier(args[len(args)-1])
	if err != nil {
		return err
	}
	switch args[0] {
	case "log":
		return checkLog(args[1], verifier)
	case "proof":
		return checkProof(args[1], args[2], verifier)
	case "consistent":
		return checkConsistent(args[1], args[2], verifier)
	default:
		return fmt.Errorf("no such check: %s", args[0])
	}
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Println("rejected:", err)
		os.Exit(1)
	}
	fmt.Println("accepted")
}
