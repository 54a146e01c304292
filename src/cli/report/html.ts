// Text becomes part of a page only through this tag, which escapes whatever is put in; only what it made itself goes in as it is.

const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

export class Html {
  readonly text: string;

  /** `text`: trusted. */
  constructor(text: string) {
    this.text = text;
  }
}

type Content = Html | readonly Html[] | string | number;

/** For text and for values of attributes in quotes; not for scripts and styles. */
export function html(strings: TemplateStringsArray, ...contents: readonly Content[]): Html {
  return new Html(
    strings.reduce((text, part, index) => text + contentOf(contents[index - 1] ?? '') + part),
  );
}

function contentOf(content: Content): string {
  if (content instanceof Html) return content.text;
  if (typeof content === 'object') return content.map(({ text }) => text).join('\n');
  return String(content).replace(/[&<>"']/g, (letter) => ESCAPES[letter] as string);
}
