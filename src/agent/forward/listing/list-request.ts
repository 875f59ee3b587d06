import { isObject } from '../../../core/runtime/fields.ts';

/** The method of MCP that asks for tools. */
const LIST = 'tools/list';

/** Whether a body is a request for a list of tools. */
export function isListRequest(body: Uint8Array): boolean {
  const text = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  // Most calls ask for something else, and are not parsed.
  if (!text.includes(LIST)) return false;
  try {
    const message: unknown = JSON.parse(text.toString());
    return [message].flat().some((one) => isObject(one) && one['method'] === LIST);
  } catch {
    return false;
  }
}
