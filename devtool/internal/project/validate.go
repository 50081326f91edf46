package project

import (
	"fmt"
	"regexp"
	"slices"
	"sort"
)

var name = regexp.MustCompile(`^[a-z][a-z0-9-]{0,40}$`)

// problems lists everything that is wrong with the description, each line
// naming the field.
func (p *Project) problems() []string {
	var bad []string
	say := func(format string, args ...any) { bad = append(bad, fmt.Sprintf(format, args...)) }
	if p.Version != 1 {
		say("version: is %d; this devtool reads version 1", p.Version)
	}
	if !regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]*$`).MatchString(p.Name) {
		say("name: %q must be letters, digits, '-', '_' or '.'", p.Name)
	}
	seen := map[string]bool{}
	unique := func(field, n string) {
		if !name.MatchString(n) {
			say("%s: %q must be lower-case letters, digits and '-', beginning with a letter", field, n)
		} else if seen[n] {
			say("%s: %q is used twice", field, n)
		}
		seen[n] = true
	}
	ports := map[int]string{}
	wanted := func(field string, port int) {
		if port < 1 || port > 65535 {
			say("%s: %d is no port", field, port)
		} else if other, ok := ports[port]; ok {
			say("%s: port %d is wanted by %s too", field, port, other)
		}
		ports[port] = field
	}
	wanted("gateway.port", p.Gateway.Port)
	wanted("toxiproxy.port", p.Toxiproxy.Port)
	for i, d := range p.Dependencies {
		field := fmt.Sprintf("dependencies[%d]", i)
		unique(field+".name", d.Name)
		if !slices.Contains([]string{"postgres", "redis", "kafka"}, d.Kind) {
			say("%s.kind: %q must be postgres, redis or kafka", field, d.Kind)
			continue
		}
		wanted(field+".port", d.Port)
	}
	for i, q := range p.Processes {
		field := fmt.Sprintf("processes[%d]", i)
		unique(field+".name", q.Name)
		if q.Package == "" {
			say("%s.package: must name what to build, as in ./cmd/server", field)
		}
		if q.Ready.Path != "" {
			if _, ok := q.Listen[q.Ready.Listen]; !ok {
				say("%s.ready.listen: %q is none of its listeners %v", field, q.Ready.Listen, keys(q.Listen))
			}
		}
	}
	switch front := p.Process(p.Gateway.Process); {
	case front == nil:
		say("gateway.process: there is no process %q", p.Gateway.Process)
	case front.Listen[p.Gateway.Listen] == "":
		say("gateway.listen: process %s has no listener %q, but %v", front.Name, p.Gateway.Listen, keys(front.Listen))
	}
	if p.Migrations != "" && p.Database() == nil {
		say("migrations: there is no dependency of kind postgres to migrate")
	}
	return bad
}

func keys(m map[string]string) []string {
	list := make([]string, 0, len(m))
	for k := range m {
		list = append(list, k)
	}
	sort.Strings(list)
	return list
}
