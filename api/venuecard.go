package api

import (
	"context"
	"sync"
	"time"

	"github.com/unlatch/unlatch/order"
)

// VenueCard is what a rider sees of a venue.
type VenueCard struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Phone string `json:"phone,omitempty"`
}

// cardLife is how old a venue's name and phone number may be.
const cardLife = 10 * time.Second

// cards are all venues' cards, read anew when they are old: every look at an order
// shows one.
type cards struct {
	store Store

	mu  sync.Mutex
	at  time.Time
	all map[string]VenueCard
}

// card returns a venue's, nil where there is none.
func (c *cards) card(ctx context.Context, venue string) (*VenueCard, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all == nil || time.Since(c.at) >= cardLife {
		rows, err := c.store.Venues(ctx)
		if err != nil {
			return nil, err
		}
		c.at, c.all = time.Now(), map[string]VenueCard{}
		for _, v := range rows {
			c.all[v.ID] = cardOf(v)
		}
	}
	if v, known := c.all[venue]; known {
		return &v, nil
	}
	return nil, nil
}

func cardOf(v order.Venue) VenueCard { return VenueCard{ID: v.ID, Name: v.Name, Phone: v.Phone} }
