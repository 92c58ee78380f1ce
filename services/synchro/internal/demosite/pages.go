package demosite

// page is a page of text, one line for each paragraph.
type page struct{ path, title, text string }

var pages = []page{
	{"index.html", "Welcome", `
The Harbour Museum tells of two centuries of ships, trade and weather.
Open from Tuesday to Sunday, ten to six. On Thursdays until nine.`},
	{"about/index.html", "About the museum", `
The museum stands in the old grain store at the north quay.
Eleven rooms on three floors show models, maps, instruments and a lighthouse lamp.`},
	{"about/getting-here.html", "Getting here", `
Tram 4 stops at the north quay. From there it is a walk of three minutes.
There is a ramp at the east door, and a lift to all floors.`},
	{"about/house-rules.html", "House rules", `
Please leave umbrellas and large bags at the desk.
Photographs without flash are welcome everywhere but in room 7.`},
	{"news/2025/new-roof.html", "A new roof for the grain store", `
After nine months the scaffolding is gone.
The beams from 1824 have stayed; the slates are new.`},
	{"news/2025/model-ships.html", "Forty model ships, cleaned", `
The workshop has cleaned forty models, one rope at a time.
They are back in rooms 2 and 3.`},
	{"news/2026/opening-hours.html", "Longer hours on Thursdays", `
From May on the museum is open until nine on Thursdays.
The last tour begins at eight.`},
	{"news/2026/lamp-lit-again.html", "The lamp is lit again", `
The lighthouse lamp in room 11 turns again, every day at noon.
Its lens of 1871 weighs more than a ton.`},
	{"news/2026/autumn/lectures.html", "Lectures in autumn", `
Four evenings about tides, maps, storms and the price of salt.
Admission is free; seats are few.`},
	{"exhibitions/index.html", "Exhibitions", `
Three exhibitions a year, in the hall on the ground floor.`},
	{"exhibitions/storm/index.html", "Storm of 1902", `
On the night of 11 November the sea came over the north quay.
Letters, logbooks and a barometer tell what happened hour by hour.`},
	{"exhibitions/storm/logbook.html", "The logbook", `
23:10 wind from north-west, rising.
23:40 the chain of the second buoy breaks.
00:25 water on the quay.`},
	{"exhibitions/salt/index.html", "White cargo", `
How salt came in, who carried it, and what a sack of it was worth.`},
}

const style = `body { font: 18px/1.5 Georgia, serif; max-width: 42rem; margin: 2rem auto; color: #123; }
header { border-bottom: 3px solid #16697a; padding-bottom: .5rem; }
header img { height: 2rem; vertical-align: middle; }
`

const prices = `Ausstellung;Erwachsene;Kinder
Dauerausstellung;9,00;frei
Sturm 1902;12,00;4,00
Weiße Fracht;12,00;4,00
`

const floorPlan = `ground floor  hall, desk, rooms 1 to 3
first floor   rooms 4 to 7
second floor  rooms 8 to 11, the lamp
`
