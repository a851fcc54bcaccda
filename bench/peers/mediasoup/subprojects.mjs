/**
 * mediasoup's meson files take each library from a folder of `subprojects`, which they download. These folders take
 * Debian's libraries instead. The targets whose `link_whole` lists are empty here are not built.
 */

/** By the name of the wrap file. `options` are those that mediasoup sets. */
export const subprojects = {
  'abseil-cpp': {
    build: `absl_container_dep = [
  dependency('absl_btree'),
  dependency('absl_flat_hash_map'),
  dependency('absl_flat_hash_set'),
  dependency('absl_inlined_vector'),
]
absl_strings_dep = [dependency('absl_strings'), dependency('absl_memory')]
absl_types_dep = dependency('absl_optional')
absl_container_lib = []
`,
  },
  catch2: { build: 'catch2_dep = declare_dependency()\n' },
  flatbuffers: { build: 'flatbuffers_dep = declare_dependency()\nflatbuffers_lib = []\n' },
  liburing: { build: "uring = dependency('liburing')\nliburing = []\n" },
  libuv: {
    build: "libuv_dep = dependency('libuv')\nlibuv = []\n",
    options: ['build_tests', 'build_benchmarks'],
  },
  openssl: { build: "openssl_dep = dependency('openssl')\nlibcrypto_lib = []\nlibssl_lib = []\n" },
  usrsctp: { build: "usrsctp_dep = dependency('usrsctp')\nusrsctp = []\n", options: ['sctp_build_programs'] },
};

/**
 * Built from Debian's source package: the library that Debian builds of it encrypts by NSS, mediasoup's by OpenSSL.
 * mediasoup has a later state of it, where lengths are `size_t` and one function has another name.
 */
export const srtp = {
  wrap: 'libsrtp2',
  source: 'libsrtp2',
  /** Goes to the end of its header. */
  later: `
#if defined(__cplusplus) && !defined(SRTP_LATER)
#define SRTP_LATER
#include <cstddef>
#define srtp_stream_remove srtp_remove_stream
#define SRTP_WITH_SIZE_T(function) \\
    inline srtp_err_status_t function(srtp_t context, void *packet, size_t *length) \\
    { \\
        int signed_length = static_cast<int>(*length); \\
        auto status = function(context, packet, &signed_length); \\
        *length = static_cast<size_t>(signed_length); \\
        return status; \\
    }
SRTP_WITH_SIZE_T(srtp_protect)
SRTP_WITH_SIZE_T(srtp_protect_rtcp)
SRTP_WITH_SIZE_T(srtp_unprotect)
SRTP_WITH_SIZE_T(srtp_unprotect_rtcp)
#endif
`,
};

/** What liburing lacks before version 2.4. */
const URING = `#include <liburing.h>
#ifndef IO_URING_VERSION_MAJOR
static inline void io_uring_prep_sendto(
    io_uring_sqe *entry, int socket, const void *data, size_t length, int flags,
    const sockaddr *address, socklen_t address_length)
{
    io_uring_prep_send(entry, socket, data, length, flags);
    io_uring_prep_send_set_addr(entry, address, address_length);
}
static inline int io_uring_major_version() { return 2; }
static inline int io_uring_minor_version() { return 3; }
#endif
`;

/** Changes of mediasoup's own sources, by the file. */
export const changes = {
  'src/DepLibUring.cpp': (text) => URING + text,
  // It says yes to all that is asked of its BIO, and Debian's OpenSSL asks whether the kernel encrypts.
  'src/RTC/DtlsTransport.cpp': (text) =>
    text.replace('operationType == BIO_CB_RETURN', 'operationType & BIO_CB_RETURN'),
};

export const mesonOptions = (names) => names.map((name) => `option('${name}', type: 'boolean')\n`).join('');
