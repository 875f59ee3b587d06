// Command evict takes the files below folders out of the file cache, as far as no other process has them mapped. It prints how many bytes
// of them there are. The names of files stay cached.
package main

import (
	"fmt"
	"io/fs"
	"log"
	"os"
	"path/filepath"
	"syscall"
)

// @see posix_fadvise(2)
const dontNeed = 4

func main() {
	var total int64
	for _, folder := range os.Args[1:] {
		err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || !entry.Type().IsRegular() {
				return err
			}
			size, err := evict(path)
			total += size
			return err
		})
		if err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println(total)
}

// evict gives the size of the file. A page that is not yet on disk stays, so it is synced first.
func evict(path string) (int64, error) {
	file, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	about, err := file.Stat()
	if err != nil {
		return 0, err
	}
	if err := file.Sync(); err != nil {
		return 0, err
	}
	if _, _, failed := syscall.Syscall6(syscall.SYS_FADVISE64, file.Fd(), 0, 0, dontNeed, 0, 0); failed != 0 {
		return 0, fmt.Errorf("cannot evict `%s`: %w", path, failed)
	}
	return about.Size(), nil
}
