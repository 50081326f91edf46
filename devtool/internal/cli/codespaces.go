package cli

import (
	"fmt"
	"net/url"
	"os"

	"example.com/goldenpath/devtool/internal/control"
)

// forwarded returns where GitHub Codespaces forwards the stack's HTTP ports to,
// nil elsewhere. The variables are Codespaces' own.
// https://docs.github.com/en/codespaces/developing-in-a-codespace/default-environment-variables-for-your-codespace
func forwarded(getenv func(string) string, endpoints map[string]string) map[string]string {
	name, domain := getenv("CODESPACE_NAME"), getenv("GITHUB_CODESPACES_PORT_FORWARDING_DOMAIN")
	if getenv("CODESPACES") != "true" || name == "" {
		return nil
	}
	if domain == "" {
		domain = "app.github.dev"
	}
	urls := map[string]string{}
	for what, endpoint := range endpoints {
		u, err := url.Parse(endpoint)
		if err != nil || u.Scheme != "http" || u.Port() == "" {
			continue // PostgreSQL, Redis, Kafka: only HTTP is forwarded so
		}
		urls[what] = fmt.Sprintf("https://%s-%s.%s", name, u.Port(), domain)
	}
	return urls
}

// printForwarded says where a browser outside of the codespace finds the
// service.
func (a *app) printForwarded(st control.Status) {
	service := forwarded(os.Getenv, st.Endpoints)["service"]
	if service == "" {
		return
	}
	fmt.Fprintf(a.Out, "  %-10s %s, in your browser\n", "forwarded", service)
	fmt.Fprintf(a.Out, "  %-10s the port is private: what is not signed in, as curl and a POST from another site, is sent to\n"+
		"  %-10s GitHub's sign-in. In the codespace's terminal use %s\n", "", "", st.Endpoints["service"])
}
