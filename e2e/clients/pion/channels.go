package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/pion/webrtc/v4"
)

type channelObject struct {
	Location    string  `json:"location"`
	SessionID   string  `json:"sessionId,omitempty"`
	Name        string  `json:"dataChannelName"`
	ID          *uint16 `json:"id,omitempty"`
	Ordered     *bool   `json:"ordered,omitempty"`
	Retransmits *uint16 `json:"maxRetransmits,omitempty"`
	ErrorCode   string  `json:"errorCode,omitempty"`
	Description string  `json:"errorDescription,omitempty"`
}

type channelMessage struct {
	SessionDescription *webrtc.SessionDescription `json:"sessionDescription,omitempty"`
	DataChannel        *channelObject             `json:"dataChannel,omitempty"`
	DataChannels       []channelObject            `json:"dataChannels,omitempty"`
}

// A lossy one is unordered and sends nothing twice.
const lossyName = "lossy"

// channels publishes the named channels and sends numbers on them, or receives those of a session.
type channels struct {
	c client
	// From the server's ports to those that it is reached by instead.
	relays map[string]string
	names  []string
	// Empty: publish.
	from      string
	count     int
	perSecond int
	// Publish media over the same connection.
	media bool
	// Closed when the sending shall begin.
	begin <-chan struct{}
}

func (d channels) run() (*webrtc.PeerConnection, error) {
	pc, session, err := d.c.connect("channels")
	if err != nil {
		return nil, err
	}
	if err := d.establish(pc, session); err != nil {
		return pc, fmt.Errorf("establish: %w", err)
	}
	// `new` needs a connected transport, and says 425 before.
	if err := connected(pc); err != nil {
		return pc, err
	}
	if d.media {
		if err := publishMedia(d.c, pc, session); err != nil {
			return pc, fmt.Errorf("media: %w", err)
		}
	}
	request := channelMessage{}
	for _, name := range d.names {
		wanted := channelObject{Location: "local", Name: name}
		if d.from != "" {
			wanted.Location, wanted.SessionID = "remote", d.from
		}
		if name == lossyName {
			ordered, none := false, uint16(0)
			wanted.Ordered, wanted.Retransmits = &ordered, &none
		}
		request.DataChannels = append(request.DataChannels, wanted)
	}
	var reply channelMessage
	if err := d.c.call("POST", "/sessions/"+session+"/datachannels/new", request, &reply); err != nil {
		return pc, err
	}
	for at, made := range reply.DataChannels {
		if made.ErrorCode != "" || made.ID == nil {
			return pc, fmt.Errorf("%s: %s %s", made.Name, made.ErrorCode, made.Description)
		}
		wanted := request.DataChannels[at]
		channel, err := open(pc, wanted.Name, *made.ID, wanted.Ordered, wanted.Retransmits)
		if err != nil {
			return pc, err
		}
		if d.from != "" {
			receive(channel)
		}
		channel.OnOpen(func() {
			say(line{Event: "open", SessionID: session, TrackName: wanted.Name})
			if d.from == "" {
				go d.send(channel)
			}
		})
	}
	return pc, nil
}

func (d channels) establish(pc *webrtc.PeerConnection, session string) error {
	request := channelMessage{DataChannel: &channelObject{Location: "remote", Name: "server-events"}}
	var reply channelMessage
	if err := d.c.call("POST", "/sessions/"+session+"/datachannels/establish", request, &reply); err != nil {
		return err
	}
	if reply.SessionDescription == nil || reply.DataChannel == nil || reply.DataChannel.ID == nil {
		return fmt.Errorf("no offer or no channel")
	}
	// Before the transport connects: the server writes on it at once, and Pion takes a message on a stream that it does
	// not know for a channel that opens itself.
	if _, err := open(pc, "server-events", *reply.DataChannel.ID, nil, nil); err != nil {
		return err
	}
	return d.c.answer(pc, session, d.relayed(*reply.SessionDescription))
}

var (
	udpCandidate = regexp.MustCompile(`(a=candidate:\S+ 1 udp \d+ \S+ )(\d+)`)
	tcpCandidate = regexp.MustCompile(`a=candidate:\S+ 1 tcp [^\r\n]*\r?\n`)
)

// relayed reaches the server by other ports than it says.
func (d channels) relayed(description webrtc.SessionDescription) webrtc.SessionDescription {
	if len(d.relays) > 0 {
		description.SDP = tcpCandidate.ReplaceAllString(description.SDP, "")
		description.SDP = udpCandidate.ReplaceAllStringFunc(description.SDP, func(candidate string) string {
			parts := udpCandidate.FindStringSubmatch(candidate)
			return parts[1] + d.relays[parts[2]]
		})
	}
	return description
}

func connected(pc *webrtc.PeerConnection) error {
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if pc.SCTP() != nil && pc.SCTP().State() == webrtc.SCTPTransportStateConnected {
			return nil
		}
	}
	return fmt.Errorf("SCTP did not connect: %s", pc.ConnectionState())
}

func open(pc *webrtc.PeerConnection, name string, id uint16, ordered *bool, retransmits *uint16) (*webrtc.DataChannel, error) {
	negotiated := true
	return pc.CreateDataChannel(name, &webrtc.DataChannelInit{
		Negotiated: &negotiated, ID: &id, Ordered: ordered, MaxRetransmits: retransmits,
	})
}

// More waits only in the server or the link: the rate is then what those take.
const sendBuffer = 1 << 20

// send counts by the clock, and says what rate the server acknowledged.
func (d channels) send(channel *webrtc.DataChannel) {
	<-d.begin
	begin := time.Now()
	for sent := 0; sent < d.count; time.Sleep(5 * time.Millisecond) {
		due := min(d.count, 1+int(time.Since(begin).Seconds()*float64(d.perSecond)))
		for ; sent < due && (sent%64 != 0 || channel.BufferedAmount() < sendBuffer); sent++ {
			if err := channel.SendText(strconv.Itoa(sent) + " "); err != nil {
				say(line{Event: "error", Description: err.Error()})
				return
			}
		}
	}
	for channel.BufferedAmount() > 0 {
		time.Sleep(5 * time.Millisecond)
	}
	rate := int(float64(d.count) / time.Since(begin).Seconds())
	say(line{Event: "sent", TrackName: channel.Label(), Packets: d.count, PerSecond: rate})
}

func receive(channel *webrtc.DataChannel) {
	var lock sync.Mutex
	arrived := line{Event: "arrived", TrackName: channel.Label(), Last: -1, InOrder: true}
	reported := time.Now()
	report := func() {
		lock.Lock()
		defer lock.Unlock()
		say(arrived)
	}
	channel.OnMessage(func(got webrtc.DataChannelMessage) {
		number, err := strconv.Atoi(strings.TrimSpace(string(got.Data)))
		if err != nil || !got.IsString {
			say(line{Event: "error", Description: fmt.Sprintf("got %q", got.Data)})
			return
		}
		lock.Lock()
		arrived.Packets++
		arrived.InOrder = arrived.InOrder && number > arrived.Last
		arrived.Last = number
		lock.Unlock()
		if time.Since(reported) > reportEvery {
			reported = time.Now()
			// The last message of all is reported as well.
			time.AfterFunc(reportEvery, report)
		}
	})
}
