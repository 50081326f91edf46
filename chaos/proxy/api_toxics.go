package proxy

import (
	"maps"
	"math"
	"net/http"

	"example.com/goldenpath/chaos"
)

// toxicJSON is a toxic as Toxiproxy's API has it.
type toxicJSON struct {
	Attributes map[string]any `json:"attributes"`
	Name       string         `json:"name"`
	Type       string         `json:"type"`
	Stream     string         `json:"stream"`
	Toxicity   float64        `json:"toxicity"`
}

// toxicInput is what a caller may send of it.
type toxicInput struct {
	Attributes map[string]any `json:"attributes"`
	Name       string         `json:"name"`
	Type       string         `json:"type"`
	Stream     string         `json:"stream"`
	Toxicity   *float64       `json:"toxicity"`
}

// asToxic is the fault as the API shows it: by Toxiproxy's type, and with a
// stream also when it acts both ways, for there every toxic has one.
func (f *fault) asToxic() toxicJSON {
	t := toxicJSON{Attributes: maps.Clone(f.spec.Attributes), Name: f.toxic, Type: f.spec.Type, Stream: f.spec.Stream, Toxicity: f.share}
	if t.Type == chaos.Reset {
		t.Type = "reset_peer"
	}
	if t.Stream == "" {
		t.Stream = chaos.Downstream
	}
	return t
}

// isToxic reports whether the API shows the fault as a toxic. Down is a proxy
// that is disabled there.
func (f *fault) isToxic() bool { return f.spec.Type != chaos.Down }

// toxics gives the toxics of a proxy, those of the upstream first, as Toxiproxy
// does.
func (a api) toxics(proxy string) []toxicJSON {
	a.engine.mu.Lock()
	defer a.engine.mu.Unlock()
	up, down := []toxicJSON{}, []toxicJSON{}
	for _, f := range a.engine.faults {
		switch {
		case f.spec.Target != proxy || !f.isToxic():
		case f.spec.Stream == chaos.Upstream:
			up = append(up, f.asToxic())
		default:
			down = append(down, f.asToxic())
		}
	}
	return append(up, down...)
}

// toxic is the fault that the path of a request names.
func (a api) toxic(r *http.Request) (*fault, error) {
	p, err := a.named(r)
	if err != nil {
		return nil, err
	}
	a.engine.mu.Lock()
	defer a.engine.mu.Unlock()
	at := a.engine.index(p.Name(), r.PathValue("toxic"))
	if at < 0 || !a.engine.faults[at].isToxic() {
		return nil, ErrUnknownFault
	}
	return a.engine.faults[at], nil
}

func (a api) listToxics(r *http.Request) (int, any, error) {
	p, err := a.named(r)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, a.toxics(p.Name()), nil
}

func (a api) showToxic(r *http.Request) (int, any, error) {
	f, err := a.toxic(r)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, f.asToxic(), nil
}

func (a api) createToxic(r *http.Request) (int, any, error) {
	p, err := a.named(r)
	if err != nil {
		return 0, nil, err
	}
	var in toxicInput
	if err := read(r, &in); err != nil {
		return 0, nil, err
	}
	if in.Type == chaos.Down {
		return 0, nil, refuse(http.StatusBadRequest, "invalid toxic type: disable the proxy instead")
	}
	share, err := toxicity(in.Toxicity, 1)
	if err != nil {
		return 0, nil, err
	}
	if in.Stream == "" {
		in.Stream = chaos.Downstream
	}
	spec, err := chaos.Check(chaos.Spec{Target: p.Name(), Type: in.Type, Stream: in.Stream, Attributes: in.Attributes})
	if err != nil {
		return 0, nil, err
	}
	if in.Name == "" {
		in.Name = in.Type + "_" + in.Stream
	}
	return a.put(spec, in.Name, share, func(old *fault) error {
		if old != nil {
			return refuse(http.StatusConflict, "toxic already exists")
		}
		return nil
	})
}

// updateToxic changes the attributes that are given, and the toxicity. The
// lease begins anew.
func (a api) updateToxic(r *http.Request) (int, any, error) {
	f, err := a.toxic(r)
	if err != nil {
		return 0, nil, err
	}
	var in toxicInput
	if err := read(r, &in); err != nil {
		return 0, nil, err
	}
	share, err := toxicity(in.Toxicity, f.share)
	if err != nil {
		return 0, nil, err
	}
	spec := f.spec
	spec.Attributes = maps.Clone(spec.Attributes)
	maps.Copy(spec.Attributes, in.Attributes)
	if spec, err = chaos.Check(spec); err != nil {
		return 0, nil, err
	}
	return a.put(spec, f.toxic, share, func(old *fault) error {
		if old == nil {
			return ErrUnknownFault // it ended in the meantime
		}
		return nil
	})
}

// put puts a toxic in force and shows it.
func (a api) put(spec chaos.Spec, name string, share float64, allow func(*fault) error) (int, any, error) {
	report, err := a.engine.put(spec, name, share, allow)
	if err != nil {
		return 0, nil, err
	}
	f := fault{spec: spec, toxic: name, share: report.Probability}
	return http.StatusOK, f.asToxic(), nil
}

func (a api) deleteToxic(r *http.Request) (int, any, error) {
	f, err := a.toxic(r)
	if err != nil {
		return 0, nil, err
	}
	_, err = a.engine.drop(func(other *fault) bool {
		return other.spec.Target == f.spec.Target && other.toxic == f.toxic
	}, FaultOff)
	return http.StatusNoContent, nil, err
}

// toxicity is the share of connections, from 0 to 1.
func toxicity(given *float64, otherwise float64) (float64, error) {
	if given == nil {
		return otherwise, nil
	}
	if math.IsNaN(*given) || *given < 0 || *given > 1 {
		return 0, refuse(http.StatusBadRequest, "bad request body: toxicity %v is not from 0 to 1", *given)
	}
	return *given, nil
}
