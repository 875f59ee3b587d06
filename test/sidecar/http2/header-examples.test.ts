import { describe, expect, it } from '@jest/globals';
import { HeaderDecoder } from '../../../src/sidecar/http2/header-decoder.ts';

type Field = readonly [name: string, value: string];

/** Decodes blocks one after the other with one decoder. */
const read = (...blocks: readonly Buffer[]): readonly unknown[] => {
  const decoder = new HeaderDecoder();
  return blocks.map((block) => {
    const list = decoder.decode(block);
    return typeof list === 'string' ? list : list.map(({ name, value }) => [name, value]);
  });
};

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');
const PRIVATE = ['cache-control', 'private'] as const;
const LOCATION = ['location', 'https://www.example.com'] as const;
const dated = (second: number) => ['date', `Mon, 21 Oct 2013 20:13:${second} GMT`] as const;
const request = (...more: readonly Field[]): readonly Field[] => [
  [':method', 'GET'],
  [':scheme', 'http'],
  [':path', '/'],
  [':authority', 'www.example.com'],
  ...more,
];
const REQUESTS = [
  request(),
  request(['cache-control', 'no-cache']),
  [
    [':method', 'GET'],
    [':scheme', 'https'],
    [':path', '/index.html'],
    [':authority', 'www.example.com'],
    ['custom-key', 'custom-value'],
  ],
];
const RESPONSES = [
  [[':status', '302'], PRIVATE, dated(21), LOCATION],
  [[':status', '307'], PRIVATE, dated(21), LOCATION],
  [
    [':status', '200'],
    PRIVATE,
    dated(22),
    LOCATION,
    ['content-encoding', 'gzip'],
    ['set-cookie', 'foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1'],
  ],
];

describe('HeaderDecoder, by the examples of RFC 7541 appendix C', () => {
  it.each<[string, readonly string[], readonly (readonly Field[])[]]>([
    ['C.2.1', ['400a637573746f6d2d6b65790d637573746f6d2d686561646572'], [[['custom-key', 'custom-header']]]],
    ['C.2.2', ['040c2f73616d706c652f70617468'], [[[':path', '/sample/path']]]],
    ['C.2.3', ['100870617373776f726406736563726574'], [[['password', 'secret']]]],
    ['C.2.4', ['82'], [[[':method', 'GET']]]],
    [
      'C.3',
      [
        '828684410f7777772e6578616d706c652e636f6d',
        '828684be58086e6f2d6361636865',
        '828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565',
      ],
      REQUESTS as readonly (readonly Field[])[],
    ],
    [
      'C.4',
      [
        '828684418cf1e3c2e5f23a6ba0ab90f4ff',
        '828684be5886a8eb10649cbf',
        '828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf',
      ],
      REQUESTS as readonly (readonly Field[])[],
    ],
    [
      // Here and in C.6 the table holds 256 bytes, as the first block sets.
      'C.5',
      [
        `3fe101 4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a323120474d54
         6e1768747470733a2f2f7777772e6578616d706c652e636f6d`,
        '4803333037c1c0bf',
        `88c1611d4d6f6e2c203231204f637420323031332032303a31333a323220474d54c05a04677a69707738
         666f6f3d4153444a4b48514b425a584f5157454f50495541585157454f49553b206d61782d6167653d333630303b2076657273696f6e3d31`,
      ],
      RESPONSES as readonly (readonly Field[])[],
    ],
    [
      'C.6',
      [
        '3fe101 488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97c8e9ae82ae43d3',
        '4883640effc1c0bf',
        `88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335dfdfcd5b3960d5af27087f3672c1
         ab270fb5291f9587316065c003ed4ee5b1063d5007`,
      ],
      RESPONSES as readonly (readonly Field[])[],
    ],
  ])('reads %s', (_name, blocks, lists) => {
    expect(read(...blocks.map((block) => hex(block.replaceAll(/\s/g, ''))))).toEqual(lists);
  });
});
