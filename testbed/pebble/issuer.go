package pebble

import "testing"

// IssuerPEM is the root that its certificates chain to, for programs that read a file.
func (s *Server) IssuerPEM(t testing.TB) []byte {
	t.Helper()
	return s.get(t, "/roots/0")
}
