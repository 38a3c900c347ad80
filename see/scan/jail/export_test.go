package jail

// PretendOld makes a root resolve paths as on a kernel without openat2.
func PretendOld(r *Root, old bool) { r.old.Store(old) }

// EachRecord is eachRecord.
var EachRecord = eachRecord
