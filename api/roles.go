package api

import "github.com/unlatch/unlatch/order"

// anybody marks an operation that needs no key; the request itself proves what it
// may.
const anybody order.Role = "anybody"

// leastRole is the least role that may do each operator's operation. What is
// missing here is refused to everybody.
var leastRole = map[string]order.Role{
	"first-run": anybody,

	"list-venues":        order.Viewer,
	"get-venue":          order.Viewer,
	"put-venue":          order.Admin,
	"list-devices":       order.Viewer,
	"get-device":         order.Viewer,
	"provision-devices":  order.Admin,
	"set-service":        order.Field,
	"transfer-device":    order.Admin,
	"place-device":       order.Field,
	"list-positions":     order.Field,
	"command-device":     order.Field,
	"list-codes":         order.Viewer,
	"get-code":           order.Viewer,
	"mint-code":          order.Field,
	"bind-code":          order.Field,
	"swap-codes":         order.Field,
	"add-code-batch":     order.Admin,
	"list-code-batches":  order.Viewer,
	"get-code-batch":     order.Viewer,
	"list-batch-codes":   order.Field,
	"batch-sheet-pdf":    order.Field,
	"batch-labels-zpl":   order.Field,
	"batch-labels-zip":   order.Field,
	"batch-codes-csv":    order.Field,
	"revoke-code":        order.Field,
	"remint-code":        order.Field,
	"code-symbol-svg":    order.Field,
	"code-symbol-png":    order.Field,
	"list-tariffs":       order.Viewer,
	"add-tariff":         order.Admin,
	"replay-tariff":      order.Finance,
	"list-prices":        order.Viewer,
	"add-close":          order.Field,
	"list-closes":        order.Viewer,
	"get-close":          order.Viewer,
	"preview-close":      order.Viewer,
	"tax-data":           order.Finance,
	"list-orders":        order.Viewer,
	"get-operator-order": order.Viewer,
	"service-unlock":     order.Field,
	"end-order-by-staff": order.Field,
	"void-order":         order.Field,
	"decide-order":       order.Finance,
	"stop-device":        order.Field,
	"stop-venue":         order.Field,
	"interlock-venue":    order.Field,
	"refund":             order.Finance,
	"list-payments":      order.Finance,
	"retry-payment":      order.Finance,
	"give-up-payment":    order.Finance,
	"list-debts":         order.Finance,
	"list-bill-days":     order.Finance,
	"list-riders":        order.Viewer,
	"get-rider-wallet":   order.Finance,
	"top-up":             order.Finance,
	"block-rider":        order.Finance,
	"list-passes":        order.Viewer,
	"add-pass":           order.Admin,
	"list-rider-passes":  order.Viewer,
	"grant-pass":         order.Finance,
	"revoke-pass":        order.Finance,
	"group-rider":        order.Finance,
	"export-rider":       order.Admin,
	"erase-rider":        order.Admin,
	"list-open-items":    order.Viewer,
	"close-open-item":    order.Field,
	"statistics":         order.Finance,
	"list-faults":        order.Viewer,
	"fault-photo":        order.Viewer,
	"list-audit":         order.Admin,
	"list-staff":         order.Admin,
	"add-staff":          order.Admin,
	"list-keys":          order.Admin,
	"add-key":            order.Admin,
	"revoke-key":         order.Admin,
}

// openToRiders holds the riders' operations that need no token.
var openToRiders = map[string]bool{"login": true}

// rank orders the roles; each includes the ones before it. An unknown role has
// rank 0 and may do nothing.
var rank = map[order.Role]int{order.Viewer: 1, order.Field: 2, order.Finance: 3, order.Admin: 4}

// allows tells whether a role suffices.
func allows(has, least order.Role) bool { return rank[least] > 0 && rank[has] >= rank[least] }
