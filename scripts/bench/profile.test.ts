import { expect, test } from 'vitest';
import { summary } from './profile.mjs';

test('samples are put together by what the code is for', () => {
  const text = `
 ffffffff81a2b3c4 __udp4_lib_rcv ([kernel.kallsyms])
 ffffffff81a2b3c4 __udp4_lib_rcv ([kernel.kallsyms])
 ffffffff81a2b3c5 try_to_wake_up ([kernel.kallsyms])
     55d0c0ffee00 aes_gcm_encrypt_avx512 (/opt/switchyard-engine)
     55d0c0ffee01 <switchyard_engine::bandwidth::estimator::Estimator as Default>::default (/opt/switchyard-engine)
     7fffc0ffee01 [unknown] ([unknown])
     7fffc0ffee02 __vdso_clock_gettime ([vdso])
     7fffc0ffee03 memcpy (/lib/libc.so.6)
`;
  const rows = summary(text);
  const parts = Object.fromEntries(rows.flatMap(({ part, percent }) => (part ? [[part, percent]] : [])));
  expect(parts).toEqual({
    'kernel, the way to the socket': 25,
    'kernel, waking and waiting': 12.5,
    'program, AES-GCM': 12.5,
    'program, congestion control': 12.5,
    'program, copying': 12.5,
    'program, other': 25,
  });
  expect(rows.find(({ symbol }) => symbol)).toEqual({
    symbol: 'kernel, the way to the socket: __udp4_lib_rcv',
    percent: 25,
  });
});
