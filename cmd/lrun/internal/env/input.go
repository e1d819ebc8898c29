package env

import (
	"bufio"
	"context"
	"io"
	"os"
)

// inputBuffer is how much is read at once from a pipe: what one holds by default, several times.
const inputBuffer = 256 << 10

// Input is In for a command that can be interrupted: a read from a pipe that nobody writes to ends with the cause
// of ctx when ctx is done. What was read ahead by then is lost. It is called once.
func (e *Env) Input(ctx context.Context) io.Reader {
	if f, ok := e.In.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			return f // never waits
		}
	}
	r, w := io.Pipe()
	stop := context.AfterFunc(ctx, func() { w.CloseWithError(context.Cause(ctx)) })
	go func() {
		_, err := io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{e.In}, make([]byte, inputBuffer))
		stop()
		w.CloseWithError(err)
	}()
	return bufio.NewReaderSize(r, inputBuffer)
}
