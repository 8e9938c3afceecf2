package device

// Lock is a lock on a bike, a locker or a door: one outlet, a bolt, no meter.
const Lock Kind = "lock"
