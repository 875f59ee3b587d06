import { isObject } from '../../../core/runtime/fields.ts';

/** The method of MCP that asks for tools. */
const LIST = 'tools/list';

/** Whether a body is a request for a list of tools. */
export function isListRequest(body: Uint8Array): boolean {
  const text = bytesOf(body);
  // Most calls ask for something else, and are not parsed. The method may be written with escapes.
  if (!text.includes(LIST) && !text.includes('\\')) return false;
  try {
    const message: unknown = JSON.parse(text.toString());
    return [message].flat().some((one) => isObject(one) && one['method'] === LIST);
  } catch {
    return false;
  }
}

/** Whether a body may be a message of JSON-RPC. The client of any other body does not read the answer as JSON-RPC. */
export const mayBeJsonRpc = (body: Uint8Array): boolean => bytesOf(body).includes('jsonrpc');

const bytesOf = (body: Uint8Array): Buffer => Buffer.from(body.buffer, body.byteOffset, body.byteLength);
