package cache

import (
	"encoding/json"
	"time"

	"staunch/see/scan/ident"
	"staunch/see/scan/lang"
)

// archived is a line of the cache: what an archive held that could be read whole.
type archived struct {
	Dev, Ino   uint64
	Size, Time int64
	Mount      uint64 `json:",omitempty"`
	Name       string
	Day        uint32
	Has        lang.Archive
}

// Archive returns what an archive held when it was read last.
func (c *Cache) Archive(k ident.ArchiveKey) (lang.Archive, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a, ok := c.archives[k]
	if ok && a.Day != c.today {
		a.Day = c.today
		c.archives[k] = a
	}
	return a.Has, ok
}

// LearnArchive takes in what an archive that could be read whole holds.
func (c *Cache) LearnArchive(k ident.ArchiveKey, has lang.Archive, now time.Time) {
	if c.dir == "" || !k.Content.Keep(now) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.archives[k] = archived{
		Dev: k.Content.Dev, Ino: k.Content.Ino, Size: k.Content.Size, Time: k.Content.Time, Mount: k.Content.Mount, Name: k.Name, Day: c.today, Has: has,
	}
	c.changed = true
}

// encodeArchives keeps what was used lately.
func (c *Cache) encodeArchives() ([]byte, error) {
	var list []archived
	for _, a := range c.archives {
		if c.today-a.Day <= keepDays {
			list = append(list, a)
		}
	}
	return json.Marshal(list)
}

func decodeArchives(b []byte, sameBoot bool) (map[ident.ArchiveKey]archived, error) {
	var list []archived
	if err := json.Unmarshal(b, &list); err != nil {
		return nil, errDamaged
	}
	all := make(map[ident.ArchiveKey]archived, len(list))
	for _, a := range list {
		if sameBoot || a.Mount == 0 {
			all[ident.ArchiveKey{Content: ident.Key{Dev: a.Dev, Ino: a.Ino, Size: a.Size, Time: a.Time, Mount: a.Mount}, Name: a.Name}] = a
		}
	}
	return all, nil
}
