/** Text and elements of XML. */

/** An element on lines of its own; its inner parts are XML already. */
export function xmlElement(
  name: string,
  attributes: Readonly<Record<string, string>>,
  inner: readonly string[],
): string {
  const written = Object.entries(attributes).map(([key, value]) => ` ${key}="${xmlText(value)}"`);
  const start = `<${name}${written.join('')}`;
  return inner.length === 0 ? `${start}/>` : `${start}>\n${inner.join('\n')}\n</${name}>`;
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&apos;',
};

/**
 * A text as XML, also in attributes. Characters that XML cannot represent, and terminals would obey, become `?`.
 *
 * @see https://www.w3.org/TR/xml/#charsets
 */
export const xmlText = (text: string): string =>
  text
    .toWellFormed()
    // oxlint-disable-next-line no-control-regex -- matches control characters on purpose
    .replaceAll(/[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffe\uffff]/g, '?')
    .replaceAll(/[&<>"']/g, (sign) => ENTITIES[sign] ?? '?')
    .replaceAll(/[\t\n\r]/g, (blank) => `&#${blank.charCodeAt(0)};`);
