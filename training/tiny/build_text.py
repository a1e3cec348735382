"""Make the tiny model's tokenizer and its untrained text encoder (stage ``text`` of the build).

The vocabulary is the words of the tiny world, each one token, and all printable ASCII characters, so that
any other English prompt still becomes tokens (many, and the encoder never saw them in training).
"""

import string

from tokenizers import Regex, Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import Unigram
from transformers import PreTrainedTokenizerFast, UMT5Config, UMT5EncoderModel

from training.tiny.build_config import MAX_TEXT_TOKENS, text_encoder_config
from training.tiny.prompts import all_words

_WORD_SCORE, _CHARACTER_SCORE = -1.0, -8.0


def build_tokenizer() -> PreTrainedTokenizerFast:
    """Build the tokenizer: lower case, words of the world whole, anything else character by character."""
    words = [f"▁{word}" for word in all_words()]
    # Characters that some word already is (such as the article "a") need no second entry.
    characters = [
        c for c in ["▁", *string.ascii_lowercase, *string.digits, *string.punctuation] if c not in words
    ]
    special = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -20.0)]
    vocabulary = special + [(w, _WORD_SCORE) for w in words] + [(c, _CHARACTER_SCORE) for c in characters]
    tokenizer = Tokenizer(Unigram(vocabulary, unk_id=2, byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"[,.\-]"), behavior="isolated"),
            pre_tokenizers.Metaspace(prepend_scheme="always"),
        ]
    )
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A $B </s>", special_tokens=[("</s>", 1)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        model_max_length=MAX_TEXT_TOKENS,
    )


def build_text_encoder(vocab_size: int) -> UMT5EncoderModel:
    """Build an untrained encoder; it learns together with the transformer."""
    return UMT5EncoderModel(UMT5Config(**text_encoder_config(vocab_size)))
