import { expect, test } from 'vitest';
import { drawable, stacksOf, work } from './chains.mjs';

const text = `
worker-0;clone3;start_thread;std::sys::thread::new;switchyard_engine::worker::run;__sendmmsg;__x64_sys_sendmmsg_[k];udp_sendmsg_[k];__wake_up_[k] 6
worker-0;clone3;start_thread;std::sys::thread::new;switchyard_engine::worker::run;recvmmsg;__x64_sys_recvmmsg_[k];udp_recvmsg_[k] 2
worker-0;[unknown];switchyard_engine::worker::run;epoll_wait;__x64_sys_epoll_wait_[k];schedule_[k] 1
worker-0;switchyard_engine::worker::run;asm_sysvec_apic_timer_interrupt_[k] 1
worker-0;switchyard_engine::worker::run;switchyard_engine::core::sending::send;aead_aes_gcm_seal_scatter;aes_gcm_encrypt_avx512 5
worker-0;switchyard_engine::worker::run;switchyard_engine::bandwidth::estimator::Estimator::feedback;core::slice::sort::quicksort 2
worker-0;switchyard_engine::worker::run;switchyard_engine::core::burst::<impl switchyard_engine::core::Engine>::fan_out;__memmove_avx_unaligned 1
worker-0;switchyard_engine::worker::run;switchyard_engine::core::burst::fan_out 1
main;__libc_start_main@@GLIBC_2.34;main;poll_of_something 1
`;

test("time goes to the call that the kernel works for, and to the program's innermost function that tells", () => {
  expect(work(stacksOf([text]), 4)).toEqual([
    { work: 'kernel, sending', percent: 30, usPerPacket: 1.2 },
    { work: 'program, AES-GCM', percent: 25, usPerPacket: 1 },
    { work: 'kernel, receiving', percent: 10, usPerPacket: 0.4 },
    { work: 'program, congestion control', percent: 10, usPerPacket: 0.4 },
    { work: 'kernel, waiting', percent: 5, usPerPacket: 0.2 },
    { work: 'kernel, other', percent: 5, usPerPacket: 0.2 },
    { work: 'program, copying', percent: 5, usPerPacket: 0.2 },
    { work: 'program, the way of a packet', percent: 5, usPerPacket: 0.2 },
    { work: 'program, other', percent: 5, usPerPacket: 0.2 },
  ]);
});

test("stacks of several rounds are put together, and begin with the program's own code", () => {
  const rounds = [
    'worker-0;clone3;start_thread;<std::sys::Thread>::new;switchyard_engine::worker::run;send 2\n',
    'worker-0;[unknown];switchyard_engine::worker::run;send 3\nworker-0;switchyard_engine::worker::run 1\n',
    'main;_start;__libc_start_main@@GLIBC_2.34;main;std::rt::lang_start;switchyard_engine::main 4\n',
  ];
  expect(drawable(stacksOf(rounds))).toBe(
    'worker-0;engine::worker::run;send 5\nworker-0;engine::worker::run 1\nmain;engine::main 4\n',
  );
});
