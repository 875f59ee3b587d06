import { describe, expect, it } from '@jest/globals';
import { ToolsMark } from '../../../../src/agent/forward/listing/tools-mark.ts';

describe('ToolsMark', () => {
  it.each(['"tools"', '"TOOLS"', String.raw`"\u0074\u006F\u006fls"`, '"tool\u017F"', String.raw`"tool\u017f"`])(
    'sees %s, however chunks cut it',
    (name) => {
      const bytes = Buffer.from(`{"result":{${name}:[]}}`);
      for (let at = 0; at <= bytes.length; at += 1) {
        const mark = new ToolsMark();
        const seen = [bytes.subarray(0, at), bytes.subarray(at)].map((chunk) => mark.sees(chunk));
        expect(seen).toContain(true);
      }
      const single = new ToolsMark();
      expect(Array.from(bytes, (byte) => single.sees(Buffer.from([byte])))).toContain(true);
    },
  );

  it.each(['tools', '"tool"', '"toolss"', String.raw`\"tools\"`, '"to ols"'])('does not see %s', (text) => {
    expect(new ToolsMark().sees(Buffer.from(`{"x":${text}}`))).toBe(false);
  });
});
