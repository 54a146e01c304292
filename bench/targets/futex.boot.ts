// The words of a round trip between two threads, 128 bytes apart.

/** Round trips asked for. */
export const ASKED_WORD = 0;
/** Round trips answered. */
export const DONE_WORD = 32;
export const WORDS_BYTES = 256;
