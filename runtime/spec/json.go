package spec

import "encoding/json"

// The parts of Settings marshal themselves, as they would without it: package json analyses all that a type holds when it first
// meets it, half a millisecond for these, which few containers have any of. A part that is zero is left out before that.

// MarshalJSON implements json.Marshaler.
func (v Limits) MarshalJSON() ([]byte, error) {
	type fields Limits
	return json.Marshal(fields(v))
}

// MarshalJSON implements json.Marshaler.
func (v Tuning) MarshalJSON() ([]byte, error) {
	type fields Tuning
	return json.Marshal(fields(v))
}

// MarshalJSON implements json.Marshaler.
func (v Devices) MarshalJSON() ([]byte, error) {
	type fields Devices
	return json.Marshal(fields(v))
}

// MarshalJSON implements json.Marshaler.
func (v Sharing) MarshalJSON() ([]byte, error) {
	type fields Sharing
	return json.Marshal(fields(v))
}

// MarshalJSON implements json.Marshaler.
func (v Security) MarshalJSON() ([]byte, error) {
	type fields Security
	return json.Marshal(fields(v))
}

// MarshalJSON implements json.Marshaler.
func (v Names) MarshalJSON() ([]byte, error) {
	type fields Names
	return json.Marshal(fields(v))
}

// MarshalJSON implements json.Marshaler.
func (v UserNamespace) MarshalJSON() ([]byte, error) {
	type fields UserNamespace
	return json.Marshal(fields(v))
}

// MarshalJSON implements json.Marshaler.
func (v Mount) MarshalJSON() ([]byte, error) {
	type fields Mount
	return json.Marshal(fields(v))
}
