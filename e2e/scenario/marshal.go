package scenario

import (
	"reflect"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"k8s.io/apimachinery/pkg/api/resource"
)

// Marshal writes the scenario with every default and every timeout, in a form
// that Decode reads back to the same value.. Texts of several lines are quoted: the
// library's block style loses leading spaces.
func (s Scenario) Marshal() ([]byte, error) {
	return yaml.MarshalWithOptions(plain(reflect.ValueOf(s)), yaml.IndentSequence(true))
}

// plain turns a value into what the YAML library writes in the order of the
// fields. The library alone would leave out a bound's "max: 0".
func plain(v reflect.Value) any {
	switch value := v.Interface().(type) {
	case Duration:
		return value.String()
	case resource.Quantity:
		return plainQuantity(value)
	case Bound:
		return plainStruct(v, func(name string, zero bool) bool {
			switch name {
			case "name", "kind":
				return true
			case "max":
				return value.Kind.reads(name)
			default:
				return !zero
			}
		})
	}
	switch v.Kind() {
	case reflect.Struct:
		return plainStruct(v, nil)
	case reflect.Slice:
		list := make([]any, v.Len())
		for i := range list {
			list[i] = plain(v.Index(i))
		}
		return list
	case reflect.Map:
		entries := make(map[string]any, v.Len())
		for _, key := range v.MapKeys() {
			entries[key.String()] = plain(v.MapIndex(key))
		}
		return entries
	case reflect.String:
		return v.String()
	default:
		return v.Interface()
	}
}

// plainStruct keeps the fields that keep says; without it, those that are not
// both zero and marked as omitted then.
func plainStruct(v reflect.Value, keep func(name string, zero bool) bool) yaml.MapSlice {
	var out yaml.MapSlice
	for i := range v.NumField() {
		name, options, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		value := v.Field(i)
		zero := value.IsZero() || value.Kind() == reflect.Slice && value.Len() == 0
		kept := !zero || options == ""
		if keep != nil {
			kept = keep(name, zero)
		}
		if kept {
			out = append(out, yaml.MapItem{Key: name, Value: plain(value)})
		}
	}
	return out
}

// plainQuantity avoids the thousandths that a quantity's own form may have.
func plainQuantity(q resource.Quantity) any {
	if text := q.String(); quantityForm.MatchString(text) {
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return n
		}
		return text
	}
	return q.AsApproximateFloat64()
}
