package longhorn

import (
	"testing"

	discoveryv1 "k8s.io/api/discovery/v1"
)

func TestServiceIsPluggedOutWhenNoEndpointIsLeft(t *testing.T) {
	none, one := discoveryv1.EndpointSlice{}, discoveryv1.EndpointSlice{Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.0.0.1"}}}}
	for name, test := range map[string]struct {
		found  []discoveryv1.EndpointSlice
		wanted bool
		want   string
	}{
		"plugged in":            {[]discoveryv1.EndpointSlice{none, one}, true, ""},
		"not yet plugged in":    {[]discoveryv1.EndpointSlice{none}, true, "no endpoint"},
		"never had one":         {nil, true, "no endpoint"},
		"plugged out":           {[]discoveryv1.EndpointSlice{none}, false, ""},
		"nothing is left of it": {nil, false, ""},
		"not yet plugged out":   {[]discoveryv1.EndpointSlice{none, one}, false, "1 endpoint"},
	} {
		t.Run(name, func(t *testing.T) { says(t, endpointsMissing(test.found, test.wanted), test.want) })
	}
}
