package seeds

import (
	"errors"
	"fmt"
	"strings"
)

// vocabulary is what texts are made of where a profile brings no words of its
// own. Adding or moving a word changes every text that was ever made.
const vocabulary = `able about above account across action active address after again agenda agree ahead air
allow almost alone along already also always among amount anchor animal answer apple april area argue arm around
arrive article aside ask autumn away back bag balance bank base basket bath beach bean because become before begin
behind believe below bench beside best better between bicycle big bird black blanket blue board boat body book
border borrow both bottle bottom bowl box branch bread break bridge brief bright bring broad brown brush budget
build bus busy butter button buy cabin cake call camera camp candle card care carry case catch cause ceiling
centre chair chance change chapter charge cheap check cheese choice choose circle city class clean clear clever
climb clock close cloth cloud coast coat coffee cold collect colour comb come common compare concert cook cool
copy corner cost cotton count country couple course cousin cover create cross crowd cup current curtain custom
cycle daily dance dark date daughter day deal decide deep delay depend desk detail dinner direct discuss dish
distance divide doctor door doubt down draft draw dream dress drink drive drop dry during dust each early earth
east easy edge egg eight empty end engine enjoy enough enter equal evening event ever every exact example expect
explain extra face fair fall family farm fast father favour feed feel fence few field fill film final find finger
finish fire firm first fish five fix flag flat floor flour flower fly fold follow food foot forest forget form
forward four frame free fresh friday friend front fruit full garden gate gather general gentle gift give glad
glass glove goal gold good grain grass great green ground group grow guess guest guide hair half hall hammer hand
happen happy harbour hard hat have head health hear heart heat heavy help here high hill history hold holiday
home honest hope horse hot hotel hour house how hundred hurry idea important inside invite iron island january
job join journey juice july jump june just keep kettle key kind kitchen knife know ladder lake lamp land language
large last late laugh leaf learn leave left lemon lend length less lesson letter level library light like line
list listen little live local lock long look lose loud low lunch machine main make many map march mark market
match matter may meal mean measure meet member memory mend message metal middle mile milk mind minute mirror miss
model monday money month moon more morning mother mountain move much music name narrow near neat need neighbour
never new news next night nine noise none noon north note nothing notice number ocean offer office often oil old
once one only open orange order other our outside oven over own page paint pair paper park part party pass past
path pause pay pencil people pepper perhaps phone photo piano picture piece place plain plan plant plate play
please plenty pocket point polite poor possible post potato pour practice prepare present press pretty price
print problem promise proud pull pure push put quarter question quick quiet quite radio rain raise reach read
ready real reason receive recipe record red regular remember rent repair repeat reply report rest result return
rice rich ride right ring river road roof room root rope rough round row rule run salt same sand saturday save
say school science season seat second see seed sell send sentence serve seven shade shape share sharp shelf ship
shirt shoe shop short shoulder show side sign silver simple since sing sister sit six size skill skin sky sleep
slow small smile smooth snow soap soft some song soon sort sound soup south space speak special speed spell spend
spoon sport spring square stage stairs stamp stand star start state station stay steam step still stone stop
store story straight street strong study such sugar suit summer sunday supper sure surface sweet swim table take
talk tall taste tea teach team tell ten tent test thank their then there thick thin thing think third thirsty
three through thursday ticket tidy time tiny today together tomorrow too tool top total touch toward tower town
train travel tree trip true trust try tuesday turn twelve twice two type under until upper use usual valley value
very village visit voice wait walk wall want warm wash watch water wave way wear weather wednesday week weight
well west wheel when where which while white whole why wide wind window wine winter wish with wood wool word work
world write year yellow yesterday yet young zero`

// wordList is the vocabulary, taken apart once for each column that needs it.
func wordList() []string { return strings.Fields(vocabulary) }

type unit int

const (
	words unit = iota
	sentence
	paragraph
)

// Bounds of generated text.
const (
	mostWords     = 10_000
	mostSentences = 1_000
	sentenceMin   = 5 // words in a sentence of a paragraph
	sentenceMax   = 14
)

// textColumn makes words, a sentence or a paragraph.
type textColumn struct {
	Common common `yaml:",inline"`
	alone  `yaml:"-"`
	Min    int      `yaml:"min"`
	Max    int      `yaml:"max"`
	From   []string `yaml:"from"`
	unit   unit
}

func (c *textColumn) check() error {
	most := mostWords
	if c.unit == paragraph {
		most = mostSentences
	}
	if c.Min < 1 || c.Max > most || c.Min > c.Max {
		return fmt.Errorf("min and max are from 1 to %d, not %d and %d", most, c.Min, c.Max)
	}
	if c.From == nil {
		c.From = wordList()
	}
	if len(c.From) == 0 {
		return errors.New("from has no words")
	}
	return nil
}

func (c *textColumn) next(_ *rows, s *stream) any {
	var b strings.Builder
	count := int(s.between(int64(c.Min), int64(c.Max)))
	switch c.unit {
	case words:
		c.write(&b, s, count, false)
	case sentence:
		c.write(&b, s, count, true)
	case paragraph:
		for i := range count {
			if i > 0 {
				b.WriteByte(' ')
			}
			c.write(&b, s, int(s.between(sentenceMin, sentenceMax)), true)
		}
	}
	return b.String()
}

// write adds words, as a sentence with a capital and a full stop.
func (c *textColumn) write(b *strings.Builder, s *stream, count int, asSentence bool) {
	for i := range count {
		word := c.From[s.below(uint64(len(c.From)))]
		switch {
		case i > 0:
			b.WriteByte(' ')
		case asSentence && word != "" && word[0] >= 'a' && word[0] <= 'z':
			b.WriteByte(word[0] - 'a' + 'A')
			word = word[1:]
		}
		b.WriteString(word)
	}
	if asSentence {
		b.WriteByte('.')
	}
}
