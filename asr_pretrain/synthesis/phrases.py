"""Lists and templates of what is said to a mirror; `spoken.py` fills the slots."""

from __future__ import annotations


def _entries(text: str) -> tuple[str, ...]:
    """Entries parted by bars or ends of lines."""
    return tuple(text.strip().replace("\n", "|").split("|"))


def _words(text: str) -> tuple[str, ...]:
    """Entries parted by blanks or ends of lines."""
    return tuple(text.split())


SURNAMES: tuple[str, ...] = _words(
    """
Abbott Adams Ahmed Allen Alvarez Anderson Armstrong Bailey Baker Banerjee Barnes Becker Bennett Bergman
Bishop Blackwood Bradley Brooks Brown Bryant Burke Butler Campbell Carpenter Carter Castillo Chapman Chen
Clark Cohen Coleman Collins Cooper Cox Crawford Cruz Cunningham Davies Davidson Diaz Dixon Doyle Duncan
Dupont Edwards Elliott Ellis Evans Fernandez Ferguson Fischer Fisher Fitzgerald Fleming Foster Fox Freeman
Fuller Garcia Gibson Gomez Gonzalez Gordon Graham Grant Gray Green Griffin Gupta Hamilton Hansen Harper
Harris Harrison Hart Hayes Henderson Hernandez Hill Hoffman Holmes Howard Huang Hughes Hunt Hussein Ibrahim
Ivanov Jackson Jenkins Jensen Johnson Jones Joshi Kaplan Kelly Kennedy Khan Kim King Knight Kowalski Kumar
Lambert Larsen Lee Lewis Lopez Lynch Marshall Martinez Mason Matthews McCarthy McDonald Mendoza Meyer Miller
Mitchell Mohammed Moore Morales Morgan Morris Mueller Murphy Murray Nakamura Nelson Newman Nguyen Novak
O'Brien Olson Ortiz Palmer Parker Patel Patterson Pearson Perez Perry Petrov Phillips Porter Powell Price
Quinn Ramirez Reed Reyes Reynolds Richardson Rivera Roberts Robinson Rogers Romero Rossi Russell Ryan Saito
Sanders Santos Schmidt Schultz Scott Shah Sharma Shaw Silva Simmons Singh Smith Spencer Stevens Stewart
Sullivan Suzuki Tanaka Taylor Thompson Torres Tucker Turner Vargas Vaughan Wagner Walker Wallace Wang Ward
Warren Watson Webb Weber West White Wilkinson Williams Wilson Wong Wood Wright Yamamoto Yang Young Zhang
Zimmerman
"""
)
STREET_KINDS: tuple[str, ...] = _words(
    """
Street Avenue Road Drive Lane Court Boulevard Way Terrace Circle Crescent Parkway Square Close
"""
)
SHOPS: tuple[str, ...] = _entries(
    """
gas station|coffee shop|pharmacy|supermarket|hospital|parking garage|charging station|restaurant|bakery
hotel|post office|train station|airport|library|bank|car wash|hardware store|bookstore|museum|beach|dentist
school|swimming pool|playground|police station|bus stop|rest area|pizza place|sushi bar|garden center|cinema
"""
)
GENRES: tuple[str, ...] = _entries(
    """
jazz|rock|classical|country|hip hop|folk|reggae|blues|soul|techno|opera|punk|disco|salsa|news|audio book
"""
)
WEATHER: tuple[str, ...] = _entries(
    """
rain|snow|sunny|windy|cloudy|foggy|freezing|hot|humid|icy|stormy|dry
"""
)
FEATURES: tuple[str, ...] = _entries(
    """
air conditioning|seat heating|rear camera|hazard lights|high beams|wipers|cruise control|defroster|sunroof
radio|reading light|child lock|parking assistant|lane assist|rear window heater|navigation voice|night mode
do not disturb|dash camera|tail gate|interior lights|massage seat|steering wheel heating|volume|bass
brightness|temperature
"""
)
SENTENCES: tuple[str, ...] = _entries(
    """
{address}|{address}, {place}|{address}, {place}, {zip}|Drive to {address}|Take me to {address}
Navigate to {shop} on {street}|Is {address} on the left or on the right?
The address is {address}, apartment {small}|The corner of {street} and {street}
{street} is closed, turn around|In {number} feet, turn left onto {street}
At the roundabout, take the {ordinal} exit|Take exit {small} toward {place}|Merge onto highway {number}
Keep right for {place}|Continue straight for {small} miles|You have reached {street}
Make a U turn at {street}|How long does it take to {place}?|How far is the next {shop}?
Find a {shop} on the way to {place}|Find the cheapest {shop} near {street}|Show me a {shop} that is open now
Avoid highways and ferries to {place}|Add a stop at the {shop}|Where can I park near {street}?
Are we going to be late for {clock}?|What time do we arrive in {place}?|Call {person}
Call {person} on the mobile|Text {person}, I am {small} minutes late|Did {person} call?
Answer the call from {surname}|Hang up|Doctor {surname} at {clock}|Mister and Misses {surname}
My name is {person}|This is {person} from {place}|{person}|{person} and {person}|Meet {person} at {clock}
Dial {digits}|The code is {digits}|My number is {digits}, extension {small}|License plate {digits}
Play {genre} music|Play some {genre} from {year}|Play "The {Adjective} {Noun}" by {person}
Play the album {Noun} {Noun}|Next song please|Previous track|Turn it up|Turn it down a little|Volume {small}
Mute|Shuffle my {genre} playlist|Tune to {small} point {small}|Pause the {genre}|Who sings this song?
Repeat this song {small} times|Turn on the {feature}|Turn off the {feature}|Set the {feature} to {small}
Increase the {feature}|Lower the {feature} by {small} percent|Switch the {feature} to {small}
Is the {feature} on?|It is {clock}|Wake me up at {clock} on {day}|Set an alarm for {clock}
Set a timer for {small} minutes and {small} seconds|Remind me to call {person} on {day}
Remind me on {month} {ordinal} at {clock}|What is on my calendar for {day}?|Cancel my {clock} meeting
{day}, {month} {ordinal}, {year}|The {ordinal} of {month}|Born in {year}
Will it be {weather} in {place} on {day}?|What is the temperature in {place}?|Is it {weather} outside?
It is {small} degrees and {weather}|{number}|{number} and {number} is {number}|{number} point {digits}
{small} percent of {number}|{number} kilometers|{number} dollars and {small} cents|Room {number}
Flight {digits}|Gate {small}|Bus number {small} leaves at {clock}|Chapter {small}, verse {small}
Page {number}|The tire pressure is {small}|Fuel for {number} miles|The battery is at {small} percent
Speed limit {small}|There is {weather} ahead|Traffic on {street}, {small} minutes delay
Accident near {place}|A {shop} in {place}|From {place} to {place} in {small} hours|{place}
{place} and {place}|North of {place}
"""
)
SHORT: tuple[str, ...] = _entries(
    """
yes|no|okay|stop|go|left|right|up|down|back|next|previous|more|less|louder|quieter|cancel|help|home|thanks
hello|good morning|good night|see you later|never mind|say that again|what now|who is there|come here
wait a minute|turn left|turn right|go straight|stop here|slow down|speed up|zoom in|zoom out|open the door
close the window|lights on|lights off|call home|take me home|play music|not now|of course|thank you
excuse me|I am sorry
"""
)
SHORT_TEMPLATES: tuple[str, ...] = _entries(
    """
{noun}|{nouns}|{adjective} {noun}|the {noun}|{name}|{surname}|{person}|{place}|{street}|{number}|{small}
{ordinal}|{feature}|{shop}|{genre}|{day}|{month}|{verb} it|{who} {verb}|{adverb}|{adverb} {verb}
{noun} {noun}|my {noun}|{feature} on|{feature} off|call {name}|play {genre}|{noun} and {noun}
very {adjective}|{small} {nouns}
"""
)
