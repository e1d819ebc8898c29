// Command lrun runs containers, one process for each command and no daemon.
//
// # Adding a command
//
// A command is one file in the package of its family (image, container, system, …) with three parts:
//
//   - a constructor, func removeCommand(e *env.Env) *cli.Command, that holds usage, operands, flags and, in
//     Action, nothing but the call of the third part. It is called only when the command is used; it must not
//     open, read or print anything. It sets neither Name nor HideHelpCommand: the frame does.
//   - an options struct that the flags write to (Destination). Lists are cli.StringSlice.
//   - func runRemove(ctx context.Context, e *env.Env, o removeOptions, args []string) error, which does the work,
//     writes its result to e.Out and everything else to e.Err or e.Notice, and can be tested without a process.
//
// and one line in the table that the package's Group function returns:
//
//	{Top: []string{"rm"}, Sub: []string{"rm", "remove"}, New: removeCommand, Args: command.AtLeast(1)}
//
// From that line come `lrun rm`, `lrun container rm` and `lrun container remove`, the help, the page in docs/cli
// (go test ./cmd/lrun -run TestDocs -update) and the refusal of wrong arguments. The number of operands is checked
// before Action; FlagsFirst ends the flags at the first operand (run, create, exec); OwnSignals leaves SIGINT and
// SIGTERM to the command (run, start), which otherwise cancel its context, unless ReadOnly says that they may end it
// at once; RefusedFlags says what to do instead of a flag that Docker has; Fail is the exit code of plain errors
// (125 of run).
//
// An error's exit code is 1, that of command.Exit(code, err), or Fail. Several errors are joined, each shown on a
// line of its own; command.Plain is shown without "lrun: " in front. Lists use package format (Parse, Columns,
// Write) and package filter; what costs time is found out only when Format.Uses says so. A word that Docker knows
// and that lrun has now must leave the list in refused.go; a test says so.
package main
