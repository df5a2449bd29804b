"""English with a foreign accent: the 39 phones, spoken by espeak-ng's voices of other languages.

Every language of espeak-ng inherits one set of base phonemes, so any voice can be given a sequence of them;
its own vowels, consonants, durations, melody and rules (German devoices final consonants) then make the
accent. The table below names, for each language, the phones that its speakers replace.
"""

from __future__ import annotations

from asr_pretrain.synthesis.espeak import EspeakError

# espeak-ng mnemonics, none, one or more a phone:
# https://github.com/espeak-ng/espeak-ng/blob/master/docs/phonemes.md
_BASE = (
    "AA=a AE=a AH=a AO=o AW=a,w AY=a,j EH=e ER=e,r EY=e,j IH=i IY=i OW=o,w OY=o,j UH=u UW=u B=b CH=tS "
    "D=d DH=d F=f G=g HH=h JH=dZ K=k L=l M=m N=n NG=N P=p R=r S=s SH=S T=t TH=t V=v W=w Y=j Z=z ZH=Z"
)

_REPLACED = {
    "ar": "P=b V=f EH=a",
    "bn": "W=v,u Z=dZ",
    "cmn": "AE=E AH=@ ER=@r EY=ei AY=ai AW=Au OW=ou B=p D=t G=k P=ph T=th K=kh CH=ts.h JH=ts. SH=s. "
    "TH=s DH=ts V=w ZH=s. Z=ts HH=x R=z.",
    "cs": "W=v TH=s DH=z",
    "da": "W=v TH=s DH=d Z=s ZH=S",
    "de": "AE=E AH=a AO=O AW=aU AY=aI EH=E ER=3 EY=e: IH=I IY=i: OW=o: OY=OY UH=U UW=u: TH=s DH=z W=v",
    "el": "SH=s ZH=z CH=ts JH=dz HH=x TH=T DH=D",
    "es": "DH=D TH=T Z=s SH=tS ZH=s V=b HH=x JH=j",
    "fi": "B=p D=t G=k Z=s SH=s ZH=s CH=tS TH=t DH=d W=v",
    "fr": "AE=a AH=W AO=O ER=W,r EY=e EH=E IH=i OW=o OY=O,j TH=s DH=z HH=",
    "hi": "AE=E AH=V AA=a: AO=O: AW=aU AY=aI ER=V,r EY=e: IH=I IY=i: OW=o: OY=O,j UH=U UW=u: T=t. "
    "D=d. TH=t DH=d W=v Z=dZ",
    "hu": "W=v TH=s DH=d AE=E EH=E",
    "id": "V=f TH=t Z=s ZH=s SH=s",
    "it": "TH=t AE=E EH=E HH=",
    "ja": "L=r TH=s DH=z V=b ER=a AH=a SH=S NG=N",
    "ko": "F=p V=b TH=s DH=d Z=dZ ZH=dZ",
    "nl": "AE=E EH=E TH=t DH=d W=v ZH=S",
    "pl": "IH=y AE=E EH=E AO=O ER=E,r EY=E,j OW=O,w OY=O,j TH=f W=v HH=x",
    "pt": "TH=t DH=d HH=x AE=E EH=E",
    "ro": "TH=t DH=d W=v AH=@",
    "ru": "AE=E EH=E ER=E,r HH=x W=v TH=s DH=z NG=n IH=I",
    "sv": "AE=& AH=8 EH=E AO=O Z=s ZH=S TH=t DH=d W=v IH=I UH=U",
    "sw": "TH=t DH=z ZH=S ER=a",
    "ta": "F=p Z=s ZH=s TH=t DH=d",
    "tr": "W=v TH=t DH=d AE=E AH=a",
    "vi": "TH=t DH=d SH=s ZH=z JH=z",
}

FOREIGN_ACCENTS: tuple[str, ...] = tuple(sorted(_REPLACED))
"""espeak-ng codes of the languages whose voices speak English here."""


def _mapping(table: str) -> dict[str, tuple[str, ...]]:
    """`AA=a AW=a,w HH=` → {AA: (a,), AW: (a, w), HH: ()}."""
    pairs = (entry.split("=") for entry in table.split())
    return {phone: tuple(part for part in mnemonics.split(",") if part) for phone, mnemonics in pairs}


_ACCENTS = {language: _mapping(_BASE) | _mapping(table) for language, table in _REPLACED.items()}


def accented(words: tuple[tuple[tuple[str, bool], ...], ...], language: str) -> str:
    """espeak-ng mnemonics for English words of (phone, stressed) pairs, to be spoken by a `language` voice.

    Raises:
        EspeakError: a language without a table here.
    """
    mapping = _ACCENTS.get(language)
    if mapping is None:
        raise EspeakError(f"no English accent for {language!r}: one of {', '.join(FOREIGN_ACCENTS)}")
    spoken = []
    for word in words:
        # The bar keeps neighbours apart: t and S are not tS.
        parts = [("'" if stressed else "") + "|".join(mapping[phone]) for phone, stressed in word]
        spoken.append("|".join(part for part in parts if part.strip("'")))
    return " ".join(word for word in spoken if word)
