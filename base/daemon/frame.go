package daemon

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// A frame is an item and a little JSON around it.
const maxFrame = MaxData + 4096

// writeFrame sends v and with it the files, which stay the caller's.
func writeFrame(c *net.UnixConn, v any, files []*os.File) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if len(body) > maxFrame || len(files) > MaxFiles {
		return fmt.Errorf("frame of %d bytes and %d files is too large", len(body), len(files))
	}
	oob, err := rights(files)
	if err != nil {
		return err
	}
	head := binary.BigEndian.AppendUint32(nil, uint32(len(body)))
	if _, _, err := c.WriteMsgUnix(head, oob, nil); err != nil {
		return err
	}
	runtime.KeepAlive(files)
	_, err = c.Write(body)
	return err
}

// rights packs the files' descriptors without os.File.Fd, which would make
// the sockets blocking for their new holder too.
func rights(files []*os.File) ([]byte, error) {
	if len(files) == 0 {
		return nil, nil
	}
	fds := make([]int, len(files))
	for i, f := range files {
		raw, err := f.SyscallConn()
		if err == nil {
			err = raw.Control(func(fd uintptr) { fds[i] = int(fd) })
		}
		if err != nil {
			return nil, err
		}
	}
	return unix.UnixRights(fds...), nil
}

// readFrame reads one frame into v and returns the files that came with it,
// which are the caller's to close. On an error there are none.
func readFrame(c *net.UnixConn, v any) ([]*os.File, error) {
	head, oob := make([]byte, 4), make([]byte, unix.CmsgSpace(4*MaxFiles))
	n, oobn, flags, _, err := c.ReadMsgUnix(head, oob)
	if err != nil {
		return nil, err
	}
	files, err := receivedFiles(oob[:oobn])
	if err == nil && flags&unix.MSG_CTRUNC != 0 {
		err = fmt.Errorf("more than %d files in a frame", MaxFiles)
	}
	if err == nil {
		err = readBody(c, head, n, v)
	}
	if err != nil {
		closeAll(files)
		return nil, err
	}
	return files, nil
}

func readBody(c *net.UnixConn, head []byte, n int, v any) error {
	if n == 0 {
		return io.EOF
	}
	if _, err := io.ReadFull(c, head[n:]); err != nil {
		return err
	}
	size := binary.BigEndian.Uint32(head)
	if size > maxFrame {
		return fmt.Errorf("frame of %d bytes, at most %d", size, maxFrame)
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(c, body); err != nil {
		return err
	}
	return json.Unmarshal(body, v)
}

func receivedFiles(oob []byte) ([]*os.File, error) {
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, err
	}
	var files []*os.File
	var failed error
	for _, m := range msgs {
		fds, err := unix.ParseUnixRights(&m)
		failed = errors.Join(failed, err)
		for _, fd := range fds {
			files = append(files, os.NewFile(uintptr(fd), "handed over"))
		}
	}
	return files, failed
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}
