package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/pion/webrtc/v4"
)

type client struct {
	api, secret string
	// An ICE-lite endpoint: the server must check it.
	lite bool
}

type trackObject struct {
	Location    string `json:"location,omitempty"`
	SessionID   string `json:"sessionId,omitempty"`
	TrackName   string `json:"trackName,omitempty"`
	Mid         string `json:"mid,omitempty"`
	ErrorCode   string `json:"errorCode,omitempty"`
	Description string `json:"errorDescription,omitempty"`
}

type message struct {
	SessionID          string                     `json:"sessionId,omitempty"`
	SessionDescription *webrtc.SessionDescription `json:"sessionDescription,omitempty"`
	Tracks             []trackObject              `json:"tracks,omitempty"`
}

func (c client) call(method, path string, body, result any) error {
	encoded, err := json.Marshal(body)
	if err != nil {
		return err
	}
	request, err := http.NewRequest(method, c.api+path, bytes.NewReader(encoded))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+c.secret)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode >= 300 {
		return fmt.Errorf("%s %s gave %d: %s", method, path, response.StatusCode, text)
	}
	return json.Unmarshal(text, result)
}

func (c client) connect(what string) (*webrtc.PeerConnection, string, error) {
	settings := webrtc.SettingEngine{}
	settings.SetIncludeLoopbackCandidate(true)
	settings.SetLite(c.lite)
	media := &webrtc.MediaEngine{}
	if err := media.RegisterDefaultCodecs(); err != nil {
		return nil, "", err
	}
	pc, err := webrtc.NewAPI(webrtc.WithSettingEngine(settings), webrtc.WithMediaEngine(media)).
		NewPeerConnection(webrtc.Configuration{BundlePolicy: webrtc.BundlePolicyMaxBundle})
	if err != nil {
		return nil, "", err
	}
	pc.OnConnectionStateChange(func(state webrtc.PeerConnectionState) {
		say(line{Event: "state", Description: what, State: state.String()})
	})
	var made message
	path := "/sessions/new"
	if c.lite {
		path += "?thirdparty=true"
	}
	if err := c.call("POST", path, struct{}{}, &made); err != nil {
		return nil, "", err
	}
	return pc, made.SessionID, nil
}

func (c client) pull(pc *webrtc.PeerConnection, session string, wanted []string, names map[string]string) error {
	var request, reply message
	for _, each := range wanted {
		publisher, name, _ := strings.Cut(each, "/")
		request.Tracks = append(request.Tracks, trackObject{Location: "remote", SessionID: publisher, TrackName: name})
	}
	if err := c.call("POST", "/sessions/"+session+"/tracks/new", request, &reply); err != nil {
		return err
	}
	for _, track := range reply.Tracks {
		if track.ErrorCode != "" {
			return fmt.Errorf("%s: %s %s", track.TrackName, track.ErrorCode, track.Description)
		}
		names[track.Mid] = track.TrackName
	}
	if reply.SessionDescription == nil {
		return fmt.Errorf("the pull brought no offer")
	}
	return c.answer(pc, session, *reply.SessionDescription)
}

// answer takes the server's offer and sends it the answer.
func (c client) answer(pc *webrtc.PeerConnection, session string, offer webrtc.SessionDescription) error {
	if err := pc.SetRemoteDescription(offer); err != nil {
		return err
	}
	answer, err := pc.CreateAnswer(nil)
	if err != nil {
		return err
	}
	if err := setAndGather(pc, answer); err != nil {
		return err
	}
	return c.call("PUT", "/sessions/"+session+"/renegotiate", message{SessionDescription: pc.LocalDescription()}, &struct{}{})
}

// publish offers what pc sends and publishes each track under its ID.
func (c client) publish(pc *webrtc.PeerConnection, session string) error {
	offer, err := pc.CreateOffer(nil)
	if err != nil {
		return err
	}
	if err := setAndGather(pc, offer); err != nil {
		return err
	}
	request := message{SessionDescription: pc.LocalDescription()}
	for _, transceiver := range pc.GetTransceivers() {
		name := transceiver.Sender().Track().ID()
		request.Tracks = append(request.Tracks, trackObject{Location: "local", Mid: transceiver.Mid(), TrackName: name})
	}
	var reply message
	if err := c.call("POST", "/sessions/"+session+"/tracks/new", request, &reply); err != nil {
		return err
	}
	if reply.SessionDescription == nil {
		return fmt.Errorf("the push brought no answer")
	}
	if err := pc.SetRemoteDescription(*reply.SessionDescription); err != nil {
		return err
	}
	for _, track := range reply.Tracks {
		say(line{Event: "pushed", SessionID: session, TrackName: track.TrackName, Mid: track.Mid, Description: track.ErrorCode})
	}
	return nil
}

func setAndGather(pc *webrtc.PeerConnection, description webrtc.SessionDescription) error {
	gathered := webrtc.GatheringCompletePromise(pc)
	if err := pc.SetLocalDescription(description); err != nil {
		return err
	}
	<-gathered
	return nil
}
