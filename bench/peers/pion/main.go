// A minimal fan-out on Pion, as its broadcast example does it: each packet of a publisher is written to a track that all
// subscribers share. It speaks as much of the Connection API as the load generator uses, so the load is the same.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"

	"github.com/pion/dtls/v3"
	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"
)

type session struct {
	peer  *webrtc.PeerConnection
	track chan *webrtc.TrackLocalStaticRTP
}

type request struct {
	SessionDescription *webrtc.SessionDescription `json:"sessionDescription"`
	Tracks             []struct {
		Location  string `json:"location"`
		SessionID string `json:"sessionId"`
	} `json:"tracks"`
}

type server struct {
	api      *webrtc.API
	mutex    sync.Mutex
	sessions map[string]*session
}

func main() {
	api, err := newAPI()
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("http://%s/v1\n", listener.Addr())
	log.Fatal(http.Serve(listener, &server{api: api, sessions: map[string]*session{}}))
}

// One UDP socket for all, ICE-lite and DTLS server, as an SFU is run; AES-GCM, as Switchyard agrees on.
func newAPI() (*webrtc.API, error) {
	socket, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, err
	}
	for _, set := range []func(int) error{socket.SetReadBuffer, socket.SetWriteBuffer} {
		if err := set(4 << 20); err != nil {
			return nil, err
		}
	}
	settings := webrtc.SettingEngine{}
	settings.SetLite(true)
	settings.SetICEUDPMux(webrtc.NewICEUDPMux(nil, socket))
	settings.SetIncludeLoopbackCandidate(true)
	settings.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	settings.SetSRTPProtectionProfiles(dtls.SRTP_AEAD_AES_128_GCM)
	if err := settings.SetAnsweringDTLSRole(webrtc.DTLSRoleServer); err != nil {
		return nil, err
	}
	media := &webrtc.MediaEngine{}
	if err := media.RegisterDefaultCodecs(); err != nil {
		return nil, err
	}
	registry := &interceptor.Registry{}
	if err := webrtc.RegisterDefaultInterceptors(media, registry); err != nil {
		return nil, err
	}
	return webrtc.NewAPI(
		webrtc.WithSettingEngine(settings),
		webrtc.WithMediaEngine(media),
		webrtc.WithInterceptorRegistry(registry),
	), nil
}

func (s *server) ServeHTTP(writer http.ResponseWriter, incoming *http.Request) {
	answer, err := s.handle(incoming)
	if err != nil {
		writer.WriteHeader(http.StatusInternalServerError)
		answer = map[string]any{"errorDescription": err.Error()}
	}
	_ = json.NewEncoder(writer).Encode(answer)
}

func (s *server) handle(incoming *http.Request) (map[string]any, error) {
	// /v1/apps/{app}/sessions/{session}/tracks/new and so on.
	parts := strings.Split(strings.Trim(incoming.URL.Path, "/"), "/")
	if len(parts) < 5 {
		return nil, fmt.Errorf("no such operation")
	}
	if parts[4] == "new" {
		return s.create()
	}
	s.mutex.Lock()
	found := s.sessions[parts[4]]
	s.mutex.Unlock()
	if found == nil {
		return nil, fmt.Errorf("no such session")
	}
	body, err := io.ReadAll(incoming.Body)
	if err != nil {
		return nil, err
	}
	wanted := request{}
	if err := json.Unmarshal(body, &wanted); err != nil {
		return nil, err
	}
	switch {
	case parts[5] == "renegotiate" && wanted.SessionDescription != nil:
		return map[string]any{}, found.peer.SetRemoteDescription(*wanted.SessionDescription)
	case wanted.SessionDescription != nil:
		return s.push(found, *wanted.SessionDescription)
	case len(wanted.Tracks) == 1:
		return s.pull(found, wanted.Tracks[0].SessionID)
	}
	return nil, fmt.Errorf("no such operation")
}

func (s *server) create() (map[string]any, error) {
	peer, err := s.api.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		return nil, err
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	id := fmt.Sprint("session", len(s.sessions))
	s.sessions[id] = &session{peer: peer, track: make(chan *webrtc.TrackLocalStaticRTP, 1)}
	return map[string]any{"sessionId": id}, nil
}

func (s *server) push(publisher *session, offer webrtc.SessionDescription) (map[string]any, error) {
	publisher.peer.OnTrack(func(remote *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		local, err := webrtc.NewTrackLocalStaticRTP(remote.Codec().RTPCodecCapability, "track", "stream")
		if err != nil {
			log.Print(err)
			return
		}
		publisher.track <- local
		for {
			packet, _, err := remote.ReadRTP()
			if err != nil {
				return
			}
			// Header extensions are another peer's agreement.
			packet.Extension = false
			packet.Extensions = nil
			_ = local.WriteRTP(packet)
		}
	})
	if err := publisher.peer.SetRemoteDescription(offer); err != nil {
		return nil, err
	}
	answer, err := publisher.peer.CreateAnswer(nil)
	if err != nil {
		return nil, err
	}
	return describe(publisher.peer, answer)
}

func (s *server) pull(subscriber *session, publisherID string) (map[string]any, error) {
	s.mutex.Lock()
	publisher := s.sessions[publisherID]
	s.mutex.Unlock()
	if publisher == nil {
		return nil, fmt.Errorf("no such publisher")
	}
	track := <-publisher.track
	publisher.track <- track
	sender, err := subscriber.peer.AddTrack(track)
	if err != nil {
		return nil, err
	}
	go readFeedback(sender, publisher.peer)
	offer, err := subscriber.peer.CreateOffer(nil)
	if err != nil {
		return nil, err
	}
	return describe(subscriber.peer, offer)
}

// Feedback must be read for interceptors to see it; requests for key frames go on to the publisher.
func readFeedback(sender *webrtc.RTPSender, publisher *webrtc.PeerConnection) {
	for {
		packets, _, err := sender.ReadRTCP()
		if err != nil {
			return
		}
		for _, packet := range packets {
			if _, asked := packet.(*rtcp.PictureLossIndication); asked {
				for _, receiver := range publisher.GetReceivers() {
					ssrc := uint32(receiver.Track().SSRC())
					_ = publisher.WriteRTCP([]rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: ssrc}})
				}
			}
		}
	}
}

func describe(peer *webrtc.PeerConnection, description webrtc.SessionDescription) (map[string]any, error) {
	gathered := webrtc.GatheringCompletePromise(peer)
	if err := peer.SetLocalDescription(description); err != nil {
		return nil, err
	}
	<-gathered
	return map[string]any{"sessionDescription": peer.LocalDescription()}, nil
}
