// An endpoint that is no browser: it pulls tracks and can push what it receives as tracks of its own.
//
// Usage: pion -api URL -secret S -pull session/track,session/track [-echo] [-lite]
//
//	pion -api URL -secret S -channels name,name [-from SESSION] [-relay PORT=PORT]... [-count N] [-rate N] [-media]
//
// It prints one JSON object a line and ends with its standard input. A line on that begins the sending on channels.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"
)

type line struct {
	Event       string `json:"event"`
	SessionID   string `json:"sessionId,omitempty"`
	TrackName   string `json:"trackName,omitempty"`
	Mid         string `json:"mid,omitempty"`
	Kind        string `json:"kind,omitempty"`
	Codec       string `json:"codec,omitempty"`
	State       string `json:"state,omitempty"`
	Packets     int    `json:"packets,omitempty"`
	KeyFrames   int    `json:"keyFrames,omitempty"`
	Gaps        int    `json:"gaps,omitempty"`
	Description string `json:"description,omitempty"`
	InOrder     bool   `json:"inOrder,omitempty"`
	Last        int    `json:"last,omitempty"`
	PerSecond   int    `json:"perSecond,omitempty"`
	// Between two packets that followed each other.
	LongestPauseMs int64 `json:"longestPauseMs,omitempty"`
}

var printing sync.Mutex

func say(l line) {
	printing.Lock()
	defer printing.Unlock()
	_ = json.NewEncoder(os.Stdout).Encode(l)
}

func main() {
	api := flag.String("api", "", "base URL of the app")
	secret := flag.String("secret", "", "the app's secret")
	pull := flag.String("pull", "", "session/track, comma-separated")
	echo := flag.Bool("echo", false, "push what is received")
	lite := flag.Bool("lite", false, "be ICE-lite")
	names := flag.String("channels", "", "data channels to publish, comma-separated")
	from := flag.String("from", "", "receive the channels of this session instead")
	relays := map[string]string{}
	flag.Func("relay", "a port of the server and the one to reach it by, as in 7882=4000", func(text string) error {
		port, relay, _ := strings.Cut(text, "=")
		relays[port] = relay
		return nil
	})
	count := flag.Int("count", 0, "messages to send on each channel")
	rate := flag.Int("rate", 500, "messages a second on each channel")
	withMedia := flag.Bool("media", false, "publish audio and video beside the channels")
	flag.Parse()
	if *names != "" {
		begin := make(chan struct{})
		d := channels{client{*api, *secret, *lite}, relays, strings.Split(*names, ","), *from, *count, *rate, *withMedia, begin}
		pc, err := d.run()
		if err != nil {
			say(line{Event: "error", Description: err.Error()})
			os.Exit(1)
		}
		defer pc.Close()
		_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
		close(begin)
		_, _ = io.Copy(io.Discard, os.Stdin)
		return
	}
	if err := run(client{*api, *secret, *lite}, strings.Split(*pull, ","), *echo); err != nil {
		say(line{Event: "error", Description: err.Error()})
		os.Exit(1)
	}
}

func run(c client, wanted []string, echo bool) error {
	out := newEcho(c, echo)
	if err := out.push(wanted); err != nil {
		return fmt.Errorf("push: %w", err)
	}
	pc, session, err := c.connect("pull")
	if err != nil {
		return err
	}
	defer pc.Close()
	names := map[string]string{}
	pc.OnTrack(func(track *webrtc.TrackRemote, receiver *webrtc.RTPReceiver) {
		mid := midOf(pc, receiver)
		say(line{Event: "track", Mid: mid, Kind: track.Kind().String(), Codec: track.Codec().MimeType})
		out.forward(pc, track, mid, names[mid])
	})
	if err := c.pull(pc, session, wanted, names); err != nil {
		return fmt.Errorf("pull: %w", err)
	}
	// Whoever started us ends us by closing our standard input.
	_, _ = io.Copy(io.Discard, os.Stdin)
	return nil
}

func midOf(pc *webrtc.PeerConnection, receiver *webrtc.RTPReceiver) string {
	for _, transceiver := range pc.GetTransceivers() {
		if transceiver.Receiver() == receiver {
			return transceiver.Mid()
		}
	}
	return ""
}

// A VP8 payload descriptor is 1 byte and up to 5 more; a key frame has the lowest bit of the frame's first byte clear.
func isVP8KeyFrame(payload []byte) bool {
	if len(payload) < 2 || payload[0]&0x10 == 0 || payload[0]&0x07 != 0 {
		return false
	}
	at := 1
	if payload[0]&0x80 != 0 {
		extension := payload[1]
		at++
		if extension&0x80 != 0 && len(payload) > at {
			if payload[at]&0x80 != 0 {
				at++
			}
			at++
		}
		if extension&0x40 != 0 {
			at++
		}
		if extension&0x30 != 0 {
			at++
		}
	}
	return len(payload) > at && payload[at]&0x01 == 0
}

func askKeyFrame(pc *webrtc.PeerConnection, track *webrtc.TrackRemote) {
	_ = pc.WriteRTCP([]rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: uint32(track.SSRC())}})
}

// Reports at most this often, so that the reader's pipe stays small.
const reportEvery = 200 * time.Millisecond
