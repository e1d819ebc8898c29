package main

// own are calls that only this architecture has: there is none that the profile has an opinion on.
func own() []call { return nil }
