package main

import (
	"strings"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"
)

// echo pushes received packets as tracks of its own: real media without an encoder here.
type echo struct {
	c      client
	on     bool
	tracks map[string]*webrtc.TrackLocalStaticRTP
	// Key frame requests for a pushed track, by its name: they go on to whoever sends to us.
	asked map[string]chan struct{}
}

func newEcho(c client, on bool) *echo {
	return &echo{c, on, map[string]*webrtc.TrackLocalStaticRTP{}, map[string]chan struct{}{}}
}

// push makes a track for each wanted one, before media arrives. Names tell the kind: "audio…" or video.
func (e *echo) push(wanted []string) error {
	if !e.on {
		return nil
	}
	pc, session, err := e.c.connect("push")
	if err != nil {
		return err
	}
	for _, each := range wanted {
		_, name, _ := strings.Cut(each, "/")
		capability := webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000}
		if strings.HasPrefix(name, "audio") {
			capability = webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2}
		}
		track, err := webrtc.NewTrackLocalStaticRTP(capability, name, "echo")
		if err != nil {
			return err
		}
		transceiver, err := pc.AddTransceiverFromTrack(track, webrtc.RTPTransceiverInit{
			Direction: webrtc.RTPTransceiverDirectionSendonly,
		})
		if err != nil {
			return err
		}
		e.tracks[name], e.asked[name] = track, make(chan struct{}, 1)
		go e.listen(transceiver.Sender(), e.asked[name])
	}
	return e.c.publish(pc, session)
}

func (e *echo) listen(sender *webrtc.RTPSender, asked chan struct{}) {
	for {
		packets, _, err := sender.ReadRTCP()
		if err != nil {
			return
		}
		for _, packet := range packets {
			switch packet.(type) {
			case *rtcp.PictureLossIndication, *rtcp.FullIntraRequest:
				select {
				case asked <- struct{}{}:
				default:
				}
			}
		}
	}
}

// forward counts what arrives and, with -echo, pushes it on.
func (e *echo) forward(pc *webrtc.PeerConnection, track *webrtc.TrackRemote, mid, name string) {
	if asked := e.asked[name]; asked != nil && track.Kind() == webrtc.RTPCodecTypeVideo {
		go func() {
			for range asked {
				say(line{Event: "asked", TrackName: name})
				askKeyFrame(pc, track)
			}
		}()
	}
	count := line{Event: "received", Mid: mid, TrackName: name, Kind: track.Kind().String()}
	var last uint16
	var reported, arrived time.Time
	for {
		packet, _, err := track.ReadRTP()
		if err != nil {
			say(line{Event: "ended", Mid: mid, Description: err.Error()})
			return
		}
		if count.Packets > 0 && packet.SequenceNumber != last+1 {
			count.Gaps++
		}
		last = packet.SequenceNumber
		if count.Packets > 0 {
			count.LongestPauseMs = max(count.LongestPauseMs, time.Since(arrived).Milliseconds())
		}
		arrived = time.Now()
		count.Packets++
		if track.Codec().MimeType == webrtc.MimeTypeVP8 && isVP8KeyFrame(packet.Payload) {
			count.KeyFrames++
		}
		if out := e.tracks[name]; out != nil {
			// IDs of header extensions belong to the transport they came over.
			packet.Extension, packet.Extensions = false, nil
			_ = out.WriteRTP(packet)
		}
		if time.Since(reported) > reportEvery {
			reported = time.Now()
			say(count)
		}
	}
}
