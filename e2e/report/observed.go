package report

import "blackout/e2e/history"

// Observed is what one series showed at most, over all incarnations and nodes, in
// each phase in which it was seen.
type Observed struct {
	Series  string                        `json:"series"`
	Subject string                        `json:"subject,omitempty"`
	Unit    history.Unit                  `json:"unit"`
	Highest map[history.PhaseName]float64 `json:"highest"`
}

// told are the series of the summary, in its order; the whole is in the history.
// An empty subject stands for any.
var told = []struct{ series, subject string }{
	{history.Goroutines, history.ManagerSubject},
	{history.CallbackSerializers, history.ManagerSubject},
	{history.GRPCConnections, history.ManagerSubject},
	{history.LiveHeap, history.ManagerSubject},
	{history.RSS, history.ManagerSubject},
	{history.WorkingSet, history.ManagerSubject},
	{history.AllocationRate, history.ManagerSubject},
	{history.DeepCopyShare, history.ManagerSubject}, // the incident's second cause
	{history.Goroutines, history.InstanceManagerSubject},
	{history.LiveHeap, history.InstanceManagerSubject},
	{history.RSS, history.InstanceManagerSubject},
	{history.Waiting, ""},
	{history.OldestWaiting, ""},
	{history.AttachmentTickets, ""},
	{history.LargestAttachment, ""},
	{history.NodeLoad, ""},
	{history.ProberCPU, history.ProberSubject},
	{history.ProberMemory, history.ProberSubject},
}

func observed(run history.Run) (all []Observed) {
	for _, what := range told {
		o := Observed{Series: what.series, Subject: what.subject, Unit: history.Series[what.series], Highest: map[history.PhaseName]float64{}}
		for _, phase := range history.PhaseNames {
			for _, track := range run.Tracks(what.series, what.subject, phase) {
				for _, s := range track.Samples {
					if highest, seen := o.Highest[phase]; !seen || s.Value > highest {
						o.Highest[phase] = s.Value
					}
				}
			}
		}
		if len(o.Highest) > 0 {
			all = append(all, o)
		}
	}
	return all
}
