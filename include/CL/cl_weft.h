/* OpenCL vendor extension cl_weft: where in the cluster a platform or device is.
 *
 * A program may include this header, or simply use the numbers; it needs no weft library. The queries are answered by
 * weft's platforms and devices only; elsewhere they give CL_INVALID_VALUE. CL_PLATFORM_HOSTNAME is the query that the clOpenCL paper
 * (Alves et al., "Supporting Distributed Heterogeneous Computing in HPC Clusters") introduced. */
#ifndef WEFT_CL_WEFT_H
#define WEFT_CL_WEFT_H

#define cl_weft 1
#define CL_WEFT_EXTENSION_NAME "cl_weft"

/* clGetPlatformInfo: char[], host name of the node whose devices the platform shows; of the node that the program runs
 * on for a platform that shows the whole cluster. */
#define CL_PLATFORM_HOSTNAME 0x57460001
/* clGetPlatformInfo: cl_uint, node id, the same way. */
#define CL_PLATFORM_NODE_WEFT 0x57460002
/* clGetDeviceInfo: char[], host name of the device's node. */
#define CL_DEVICE_HOSTNAME_WEFT 0x57460001
/* clGetDeviceInfo: cl_uint, node id of the device's node. */
#define CL_DEVICE_NODE_WEFT 0x57460002

/* With <CL/cl.h> and <weft/notify.h> included before this header, and -lweft: the notification is posted when the event has
 * ended, with CL_COMPLETE or the error as its value (a cl_int) and WEFT_OK or WEFT_E_IO as its status. The event may be
 * of any platform. The notification must stay until then: an event that has been given one cannot be taken it from. Errors as
 * clSetEventCallback. */
#if defined(WEFT_NOTIFY_H) && defined(CL_VERSION_1_1)
static inline void CL_CALLBACK clNotifyCallbackWEFT(cl_event event, cl_int status, void *notification) {
    (void)event;
    weft_notification_post((struct weft_notification *)notification, (uint64_t)status,
                           status < 0 ? WEFT_E_IO : WEFT_OK);
}
static inline cl_int clNotifyEventWEFT(cl_event event, struct weft_notification *notification) {
    return clSetEventCallback(event, CL_COMPLETE, clNotifyCallbackWEFT, notification);
}
#endif

#endif
