package fakewechat

// scoreState is where a score order is. WeChat tells it as three words, see
// scoreWords.
type scoreState string

const (
	scoreCreated   scoreState = "created"   // waits for the rider
	scoreConfirmed scoreState = "confirmed" // the service runs
	scorePaying    scoreState = "paying"    // completed, not collected in full
	scoreDone      scoreState = "done"
	scoreRevoked   scoreState = "revoked"
	scoreExpired   scoreState = "expired"
)

type scoreInput string

const (
	inputConfirm  scoreInput = "confirm" // by the rider
	inputExpire   scoreInput = "expire"  // by time
	inputCancel   scoreInput = "cancel"
	inputComplete scoreInput = "complete"
	inputModify   scoreInput = "modify"
	inputCollect  scoreInput = "collect"
	inputPart     scoreInput = "part" // paid, but not all of it
	inputPaid     scoreInput = "paid" // the rest is paid
	inputSync     scoreInput = "sync" // paid elsewhere, says the merchant
)

// scoreNext is the whole machine; an input missing from a row is refused.
var scoreNext = map[scoreState]map[scoreInput]scoreState{
	scoreCreated:   {inputConfirm: scoreConfirmed, inputCancel: scoreRevoked, inputExpire: scoreExpired},
	scoreConfirmed: {inputCancel: scoreRevoked, inputComplete: scorePaying},
	scorePaying: {inputModify: scorePaying, inputCollect: scorePaying, inputPart: scorePaying, inputPaid: scoreDone,
		inputSync: scoreDone},
}

// scoreWords are the words for a state.
var scoreWords = map[scoreState]struct{ state, description, collection string }{
	scoreCreated:   {"CREATED", "", ""},
	scoreConfirmed: {"DOING", "USER_CONFIRM", ""},
	scorePaying:    {"DOING", "MCH_COMPLETE", "USER_PAYING"},
	scoreDone:      {"DONE", "", "USER_PAID"},
	scoreRevoked:   {"REVOKED", "", ""},
	scoreExpired:   {"EXPIRED", "", ""},
}

// Numbers of Pay Score's refusals, at the end of Request-Id.
const (
	scoreOtherParams   = 271316598
	scoreNoCancel      = 271316592
	scoreNoComplete    = 271302262
	scoreNoPay         = 271316657
	scoreDebitRuns     = 271316754
	scoreUnknown       = 271317510
	scoreAppMismatch   = 271302149
	scoreOverCap       = 271316656
	scoreBadTime       = 271316637
	scoreNotGranted    = 268503786
	scoreRiskRefused   = 271300099
	scoreUnpaidOverdue = 271299627
)

// scoreRefusals are the answers to an input that the state does not allow.
var scoreRefusals = map[scoreInput]*problem{
	inputCancel:   invalid("当前订单状态不可取消", scoreNoCancel),
	inputComplete: invalid("当前订单状态不可完结", scoreNoComplete),
	inputModify:   invalid("当前订单状态不可修改金额", scoreNoPay),
	inputCollect:  invalid("当前订单状态不可收款", scoreNoPay),
	inputSync:     invalid("当前订单状态不可同步", scoreNoPay),
}

// move makes one step of the machine and reports whether there is such a step.
func (o *scoreOrder) move(in scoreInput) bool {
	next, ok := scoreNext[o.state][in]
	if ok {
		o.state = next
	}
	return ok
}
