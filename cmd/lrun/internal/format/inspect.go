package format

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/template"
)

// Inspect shows objects: without a spec as one indented JSON array, with "json" as one object a line, with a
// template as one result a line. A template sees the object's Go fields or, where that fails, its JSON keys, as with
// Docker; what neither has is errdefs.ErrInvalidArgument, and the objects before are shown even then.
func Inspect(w io.Writer, spec string, objects []any) error {
	if spec == "" {
		return inspectArray(w, objects)
	}
	if spec == "json" {
		spec = "{{json .}}"
	}
	tmpl, err := parse(spec)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	for _, o := range objects {
		if err = inspectOne(&b, tmpl, o); err != nil {
			break
		}
	}
	_, writing := w.Write(b.Bytes())
	return errors.Join(err, writing)
}

// inspectOne appends the result of tmpl for one object, and a newline.
func inspectOne(b *bytes.Buffer, tmpl *template.Template, object any) error {
	before := b.Len()
	typed := tmpl.Execute(b, object)
	if typed == nil {
		b.WriteByte('\n')
		return nil
	}
	b.Truncate(before)
	keys, err := decoded(object)
	if err != nil {
		return err
	}
	strict, err := tmpl.Clone()
	if err != nil {
		return fmt.Errorf("clone template: %w", err)
	}
	if err := strict.Option("missingkey=error").Execute(b, keys); err != nil {
		b.Truncate(before)
		return invalid("execute template: %w", err)
	}
	b.WriteByte('\n')
	return nil
}

// decoded is an object as its JSON says, numbers as they are written.
func decoded(object any) (any, error) {
	data, err := json.Marshal(object)
	if err != nil {
		return nil, fmt.Errorf("encode object: %w", err)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, fmt.Errorf("decode object: %w", err)
	}
	return v, nil
}

// inspectArray shows objects as one JSON array, indented by four spaces; none as [].
func inspectArray(w io.Writer, objects []any) error {
	if len(objects) == 0 {
		_, err := io.WriteString(w, "[]\n")
		return err
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "    ")
	if err := enc.Encode(objects); err != nil {
		return fmt.Errorf("encode objects: %w", err)
	}
	_, err := w.Write(b.Bytes())
	return err
}
