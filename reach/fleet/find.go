package fleet

import "path/filepath"

// FileName is the inventory's name.
const FileName = "staunch.yaml"

// Places lists where the inventory may lie, best first: in dir and upwards, in the user's configuration, in the machine's.
// home is $XDG_CONFIG_HOME or its default; "" leaves it out.
func Places(dir, home string) []string {
	var places []string
	for dir = filepath.Clean(dir); ; dir = filepath.Dir(dir) {
		places = append(places, filepath.Join(dir, FileName))
		if dir == filepath.Dir(dir) {
			break
		}
	}
	if home != "" {
		places = append(places, filepath.Join(home, "staunch", FileName))
	}
	return append(places, filepath.Join("/etc/staunch", FileName))
}
