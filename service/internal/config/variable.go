package config

import (
	"fmt"
	"math"
	"net"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// variable is one field of Config, read from its tags.
type variable struct {
	Name    string
	Default string
	Doc     string
	Section string
	secret  bool
	field   int // in Config
	typ     reflect.Type
	tag     reflect.StructTag
}

// variables lists the fields of Config in their order.
func variables() []variable {
	t := reflect.TypeFor[Config]()
	all := make([]variable, t.NumField())
	for i := range all {
		f := t.Field(i)
		all[i] = variable{
			Name:    f.Tag.Get("env"),
			Default: f.Tag.Get("default"),
			Doc:     f.Tag.Get("doc"),
			Section: f.Tag.Get("section"),
			secret:  f.Type == reflect.TypeFor[Secret](),
			field:   i,
			typ:     f.Type,
			tag:     f.Tag,
		}
	}
	return all
}

// refusal is why a value cannot be used. The texts hold no part of a secret.
type refusal struct{ reason, hint string }

// parse turns text into a value of the variable's type that passes its checks.
// The empty text is the zero value of a variable that has no default.
func (v variable) parse(text string) (reflect.Value, *refusal) {
	value := reflect.New(v.typ).Elem()
	if text == "" {
		return value, nil
	}
	switch v.typ {
	case reflect.TypeFor[time.Duration]():
		d, err := time.ParseDuration(text)
		if err != nil {
			return value, &refusal{fmt.Sprintf("%q is not a duration", text), "write a number with its unit, such as 500ms, 5s or 2m"}
		}
		value.SetInt(int64(d))
		return value, v.within(text, float64(d), func(s string) (float64, error) {
			d, err := time.ParseDuration(s)
			return float64(d), err
		})
	case reflect.TypeFor[[]string]():
		var list []string
		for part := range strings.SplitSeq(text, ",") {
			list = append(list, strings.TrimSpace(part))
		}
		value.Set(reflect.ValueOf(list))
		return value, v.shaped(list)
	}
	switch v.typ.Kind() {
	case reflect.Int, reflect.Int32, reflect.Int64:
		n, err := strconv.ParseInt(text, 10, v.typ.Bits())
		if err != nil {
			return value, &refusal{fmt.Sprintf("%q is not a whole number", text), "write digits alone, such as " + v.Default}
		}
		value.SetInt(n)
		return value, v.within(text, float64(n), parseFloat)
	case reflect.Float64:
		f, err := parseFloat(text)
		if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			return value, &refusal{fmt.Sprintf("%q is not a number", text), "write a number, such as " + v.Default}
		}
		value.SetFloat(f)
		return value, v.within(text, f, parseFloat)
	default:
		value.SetString(text)
		return value, v.shaped([]string{text})
	}
}

func parseFloat(s string) (float64, error) { return strconv.ParseFloat(s, 64) }

// within checks min and max; parse reads them in the field's own unit.
func (v variable) within(text string, value float64, parse func(string) (float64, error)) *refusal {
	low, high := v.tag.Get("min"), v.tag.Get("max")
	if low != "" {
		if n, err := parse(low); err != nil || value < n {
			return &refusal{fmt.Sprintf("%s is less than %s", text, low), v.bounds(low, high)}
		}
	}
	if high != "" {
		if n, err := parse(high); err != nil || value > n {
			return &refusal{fmt.Sprintf("%s is more than %s", text, high), v.bounds(low, high)}
		}
	}
	return nil
}

func (v variable) bounds(low, high string) string {
	if high == "" {
		return fmt.Sprintf("use at least %s; the default is %s", low, v.Default)
	}
	return fmt.Sprintf("use a value from %s to %s; the default is %s", low, high, v.Default)
}

// shaped checks oneof, scheme and form on each of the values.
func (v variable) shaped(values []string) *refusal {
	for _, text := range values {
		if list := v.tag.Get("oneof"); list != "" && !slices.Contains(strings.Split(list, ","), text) {
			return &refusal{fmt.Sprintf("%q is not one of the known values", text), "use one of " + strings.ReplaceAll(list, ",", ", ")}
		}
		if schemes := v.tag.Get("scheme"); schemes != "" {
			if r := v.url(text, strings.Split(schemes, ",")); r != nil {
				return r
			}
		}
		switch v.tag.Get("form") {
		case "address", "addresses":
			if r := address(text); r != nil {
				return r
			}
		case "name":
			// What Kafka takes for a topic: 249 of these characters.
			if len(text) > 249 || strings.Trim(text, letters) != "" || text == "." || text == ".." {
				return &refusal{fmt.Sprintf("%q is not a name that Kafka takes", text), "use letters, digits, dots, dashes and underscores"}
			}
		}
	}
	return nil
}

const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"

func (v variable) url(text string, schemes []string) *refusal {
	hint := "write " + v.Default
	if v.Default == "" {
		hint = "write " + schemes[0] + "://host:port"
	}
	u, err := url.Parse(text)
	switch {
	case err != nil:
		// The error of url.Parse quotes the text, passwords and all.
		return &refusal{"is not a URL", hint + "; percent-encode what is special in user and password"}
	case !slices.Contains(schemes, u.Scheme):
		return &refusal{"does not begin with " + strings.Join(schemes, ":// or ") + "://", hint}
	case u.Hostname() == "" || u.Host[0] == ':':
		return &refusal{"names no host", hint}
	case u.User != nil && !v.secret:
		return &refusal{"holds a user or a password, and is printed in logs", "leave them out of the URL"}
	}
	return nil
}

func address(text string) *refusal {
	const hint = "write host:port, such as 127.0.0.1:8081"
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		return &refusal{fmt.Sprintf("%q is not an address", text), hint}
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil {
		return &refusal{fmt.Sprintf("the port of %q is not a number from 0 to 65535", text), hint}
	} else if n != 0 && host == "" {
		return &refusal{fmt.Sprintf("%q names no host, which listens on every interface", text), "write 0.0.0.0:" + port + " if that is meant, else 127.0.0.1:" + port}
	}
	return nil
}
