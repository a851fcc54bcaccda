package main

import (
	"time"

	"github.com/pion/webrtc/v4"
	"github.com/pion/webrtc/v4/pkg/media"
)

// Whole frames of both codecs, so that no encoder is needed: 20 ms of silence (RFC 6716 section 3.1: CELT, one frame),
// and a VP8 key frame of one pixel (RFC 6386 section 9.1).
var (
	opusSilence = []byte{0xf8, 0xff, 0xfe}
	vp8Pixel    = []byte{
		0x30, 0x01, 0x00, 0x9d, 0x01, 0x2a, 0x01, 0x00, 0x01, 0x00, 0x0e, 0xc0, 0xfe, 0x25, 0xa4, 0x00, 0x03, 0x70, 0x00, 0x00,
		0x00, 0x00,
	}
)

// publishMedia adds tracks "audio" and "video" to a connection that has its data channels, and sends on them from now on.
func publishMedia(c client, pc *webrtc.PeerConnection, session string) error {
	for _, each := range []struct {
		name       string
		capability webrtc.RTPCodecCapability
		frame      []byte
		every      time.Duration
	}{
		{"audio", webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2}, opusSilence, 20 * time.Millisecond},
		{"video", webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000}, vp8Pixel, 33 * time.Millisecond},
	} {
		track, err := webrtc.NewTrackLocalStaticSample(each.capability, each.name, "media")
		if err != nil {
			return err
		}
		sendOnly := webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly}
		if _, err := pc.AddTransceiverFromTrack(track, sendOnly); err != nil {
			return err
		}
		go func() {
			for range time.Tick(each.every) {
				_ = track.WriteSample(media.Sample{Data: each.frame, Duration: each.every})
			}
		}()
	}
	return c.publish(pc, session)
}
