"""About 1,700 common English words by class, chosen so that most pairs of phones are heard often."""

from __future__ import annotations

_NOUNS = """
account actor address advice afternoon agreement airport album alley amount anchor angle animal ankle answer
apartment apple apron arch argument arm armchair army art article artist ash atlas attic aunt autumn avenue
axe baby backpack bag baker balcony ball balloon banana band bank barn barrel basket bath battery beach beak
bean bear beard bed bee beef bell belt bench berry bicycle bill bird birthday biscuit blade blanket block
blood board boat body bolt bone book boot border boss bottle bottom bowl box boy branch brass bread
breakfast breath brick bridge broom brother brush bucket buckle building bulb bull bunch bus bush butcher
butter button cabin cable cage cake calendar calf camel camera camp candle canyon cap captain car card cargo
carpet carrot cart castle cat cathedral cattle cave ceiling cellar cent center chain chair chalk chance
channel chapter charge charity chart cheek cheese cherry chest chicken chief child chimney chin choice
church cinema circle city class clay cliff clinic clock cloth cloud clown club coach coal coast coat coffee
coin collar college color comb comedy company compass concert cook copper corn corner cottage cotton couch
country couple courage court cousin cow crane crash cream creature crew crime crowd crown cup cupboard
curtain cushion custom customer cycle dad dance danger dart daughter dawn day deal death debt deer degree
delay desert desk detail diary dinner dirt discount dish distance doctor dog doll dollar donkey door doubt
dragon drama drawer dream dress drink driver drum duck dust duty eagle ear earth edge effort egg elbow
elephant elevator emperor engine envelope error evening evidence exam example exit eye face fact factory
failure fair faith family farm farmer fashion father fault feast feather feature fence festival fever field
fight film finger fire fish fist flag flame flight floor flour flower flute fly fog folder food fool foot
forest fork fortune fountain fox frame freedom friend frog fruit fuel funeral fur furniture future game
garage garbage garden garlic gas gate gear ghost giant gift girl glass glove glue goal goat gold goose grain
grandmother grape grass gravel grocery group growth guard guest guide guitar gun habit hail hair hall hammer
hand handle harbor hat hawk headlight health heart heat heel height hen hero highway hill hinge history hole
holiday honey hook hope horn horse hospital hotel hour house hunger hunter husband ice idea inch industry
injury ink insect island ivory jacket jail jam jar jaw jewel job joke journal journey joy judge juice jungle
jury kettle key kitchen kite knee knife knight knot label ladder lady lake lamb lamp lane language law lawn
lawyer layer leader leaf league leather lecture leg lemon lesson letter level library lid lie light line
lion lip list liver lizard loaf lock lodge log luck luggage lunch lung machine magazine magic maid mail
major manager map maple march market marriage master match mayor meadow meal measure meat medicine member
memory merchant message metal middle midnight mile milk mill mind miner minute mistake mixture model moment
money monkey month moon morning mother motor mountain mouse mouth movie mud muscle museum music nail name
napkin nation nature neck needle neighbor nephew nerve nest net news newspaper night noise north nose note
novel number nurse oak oar ocean offer office officer oil onion orange orchard order oven owl owner ox
oyster package page pain paint painter pair palace pan paper parade parent park parrot part partner party
passage passenger path patient pattern payment pea peace peach peanut pear pearl pen pencil people pepper
permit person phone photo piano picture pie pig pigeon pillow pilot pine pipe pitch plan plane planet plant
plate platform player playground pleasure plum pocket poem poet poison police pony pool porch port potato
pound powder power prayer present president price priest prince prison prize problem profit promise proof
pump pupil purple purpose purse puzzle queen question quilt rabbit race radio rail railway rain rainbow
range rat razor reason receipt recipe record refuge region regret rent report request rest result review
reward rhythm rib ribbon rice ride ring river road robin rock roof room rope rose route row rug ruler sack
saddle sail sailor salad salary salmon salt sand sandwich sauce sausage scale scarf scene schedule school
science scissors score screen screw sea season seat secret seed shade shadow shape shark sheep sheet shelf
shell sheriff ship shirt shoe shop shore shoulder shovel shower sign signal silence silk silver singer
sister size skill skin skirt sky sleeve slice smell smile smoke snake snow soap soccer sock soda sofa soil
soldier son song soup south space spade spark speech speed spice spider spoon sport spring square squirrel
stable stage stair stamp star station statue steak steam steel stem step stick stomach stone store storm
story stove stranger straw strawberry stream street string student study sugar suit summer sun supper
surface surprise swan sweater swing switch sword table tail tailor talent tank tape task taste tax taxi tea
teacher team teeth telephone temple tent theater theory thief thigh thing thirst thorn thought thread throat
throne thumb thunder ticket tide tie tiger timber time tin tire title toad toast tobacco toe tomato tongue
tool tooth top tour towel tower town toy track tractor trade traffic train trash treasure treaty tree trial
trick trip trouble trousers truck trunk truth tub tube tune tunnel turkey turtle twin uncle uniform union
universe usage valley value van vapor vase vegetable veil vein vest victory video view village vinegar
violin virtue vision visit visitor voice volcano vote voyage wagon waist waiter wall wallet war watch water
wave wax weather wedding week weekend weight west whale wheat wheel whip whistle wife wind window wine wing
winner winter wire wish witch witness wolf woman wood wool word work worker world worm wound wrist writer
yacht yard year yesterday zebra zipper zone zoo
"""

_VERBS_PAST = """
accepted admired allowed answered arrived asked avoided baked beat began believed bent bit blamed blew
borrowed bought bowed broke brought brushed built buried burned called came carried caught changed chased
checked chose claimed cleaned climbed closed collected compared copied counted covered crossed crushed cut
damaged decided delivered described discovered divided dragged drank drew dropped drove dug earned enjoyed
entered escaped examined expected explained failed fed felt filled finished fixed followed forgave forgot
found gathered gave grabbed greeted grew guarded guessed guided handled hated heard held helped hid hired
hit hunted hurried imagined invited joined judged kept kicked kissed knew knocked laughed launched learned
led left lifted liked loaded locked lost loved made married matched measured melted mended met missed mixed
moved named needed noticed offered opened ordered owned packed painted passed paid picked planned played
pleased poured praised prepared pressed promised protected pulled punished pushed put raised reached read
received refused remembered repaired replaced rescued returned robbed rode rolled rubbed ruined sang saved
saw scratched searched sent served sewed shared shook shot showed shut signed smelled sold solved spent
spilled split spoiled spread stole stopped studied supplied surprised swallowed swept switched taught tasted
thanked threw tied told took touched traded trained trusted turned used visited wanted warned washed watched
weighed welcomed wore won wrapped wrote
"""

_ADJECTIVES = """
afraid alive ancient angry awful bad beautiful big bitter black blue bold brave brief bright broad broken
brown busy calm careful cheap clean clear clever cold common cool cozy crazy cruel curious dark dead dear
deep dirty double dry dull eager early easy empty equal faint fair famous fast fat few final fine firm flat
foolish foreign fresh friendly full funny gentle glad golden good grand gray great greedy green happy hard
harsh healthy heavy high hollow holy honest huge humble hungry jealous jolly kind large late lazy lean light
little local lonely long loose loud lovely lucky mad major mild modern narrow native neat nervous new nice
noisy odd old open orange pale patient perfect plain polite poor pretty private proud public pure quick
quiet rapid rare raw ready real red rich right ripe rough round royal rude rusty sad safe secret sharp short
shy sick silent silly silver simple slim slow small smart smooth soft sore sour square steep stiff still
straight strange strong sudden sunny sweet swift tall tame tender terrible thick thin thirsty tiny tired
tough tropical true ugly unusual useful usual vague various vast violent warm weak wealthy wet white whole
wicked wide wild wise wonderful wooden worthy yellow young
"""

_ADVERBS = """
again almost already always badly barely carefully certainly clearly early easily exactly finally gently
gladly happily hardly hopefully immediately just later loudly maybe nearly never nicely often once perhaps
politely probably quickly quietly rarely really recently sadly safely seldom simply slowly softly sometimes
soon suddenly surely today together tomorrow usually yesterday
"""

_NAMES = """
Adam Alice Amir Amy Andrew Anna Arthur Ashley Beth Brian Bruce Carlos Charles Charlotte Chloe Claire Daniel
David Deborah Diego Dorothy Edward Elena Emily Ethan Eva Fatima Felix Fiona Frank George Giovanni Grace
Hannah Harold Helen Henry Hugo Ian Igor Isabel Ivan Jack Jacob James Jane Jason Jennifer Jessica Joan John
Jorge Joseph Joyce Judith Julia Karen Kate Kevin Laura Leo Lily Louise Lucas Luther Margaret Maria Mark
Martha Martin Mary Matthew Michael Miguel Mohammed Nancy Natasha Nathan Nicole Nigel Nora Oliver Olivia
Oscar Patrick Paul Peter Philip Priya Rachel Ravi Rebecca Richard Robert Rosa Ruth Samuel Sarah Sean Shirley
Simon Sophie Stephen Susan Theo Theresa Thomas Timothy Ursula Victor Vincent Virginia Walter Wendy William
Yuki Yvonne Zachary Zoe
"""

_PLACES = """
Albany Amsterdam Athens Atlanta Austin Baltimore Bangkok Barcelona Beijing Berlin Boston Brighton Bristol
Brooklyn Brussels Budapest Buffalo Cairo Calgary Cambridge Chicago Cleveland Dallas Delhi Denver Detroit
Dublin Edinburgh Florence Geneva Georgia Glasgow Hamburg Hartford Hawaii Houston Istanbul Jakarta Jerusalem
Juneau Kansas Lagos Leeds Lisbon Liverpool London Madison Madrid Manchester Melbourne Memphis Miami Milan
Montreal Moscow Mumbai Munich Nairobi Naples Nashville Newark Norfolk Orlando Oslo Oxford Paris Phoenix
Pittsburgh Portland Prague Quebec Richmond Rome Rotterdam Seattle Shanghai Singapore Springfield Stockholm
Sydney Tampa Texas Tokyo Toronto Utah Vancouver Venice Vienna Warsaw Washington Wellington Wyoming York
Zurich
"""

_STREETS = """
Acorn Baker Birch Bridge Broad Cedar Cherry Chestnut Church College Court Dogwood Elm Fairview Forest
Franklin Garden Grove Harbor Hickory High Highland Hill Jackson Jefferson Juniper Lake Lakeview Laurel
Liberty Lincoln Locust Madison Magnolia Main Maple Market Meadow Mill Mulberry Oak Orchard Park Pearl Pine
Pleasant Poplar Prospect Railroad Ridge River School Spring Spruce State Sunset Sycamore Union Valley Vine
Walnut Washington Water Willow
"""

NOUNS: tuple[str, ...] = tuple(_NOUNS.split())
VERBS_PAST: tuple[str, ...] = tuple(_VERBS_PAST.split())
ADJECTIVES: tuple[str, ...] = tuple(_ADJECTIVES.split())
ADVERBS: tuple[str, ...] = tuple(_ADVERBS.split())
NAMES: tuple[str, ...] = tuple(_NAMES.split())
PLACES: tuple[str, ...] = tuple(_PLACES.split())
STREETS: tuple[str, ...] = tuple(_STREETS.split())
