/* `mirror_device._native`: the front end and the int8 network for Python, with the interpreter's lock released
 * while they work. Only the limited interface of Python 3.11 is used, so that one build serves all later ones. */
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030b0000
#include <Python.h>

#include <string.h>

#include "log_mel.h"
#include "network.h"

typedef struct {
    PyObject_HEAD
    Network *network;
} NetworkObject;

typedef struct {
    PyObject_HEAD
    LogMel *front_end;
} LogMelObject;

static PyObject *log_mel_type; /* lives as long as the process */

/* A contiguous buffer of exactly `bytes` bytes, or an exception. */
static int borrow(PyObject *object, Py_buffer *view, int writable, Py_ssize_t bytes, const char *what)
{
    if (PyObject_GetBuffer(object, view, writable ? PyBUF_WRITABLE : PyBUF_SIMPLE) < 0)
        return 0;
    if (bytes >= 0 && view->len != bytes) {
        PyErr_Format(PyExc_ValueError, "%s: %zd bytes, not %zd", what, view->len, bytes);
        PyBuffer_Release(view);
        return 0;
    }
    return 1;
}

static PyObject *network_create(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    Py_buffer ints, floats, weights;
    (void)kwargs;
    if (!PyArg_ParseTuple(args, "y*y*y*", &ints, &floats, &weights))
        return NULL;
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    NetworkObject *self = (NetworkObject *)allocate(type, 0);
    if (self != NULL) {
        self->network = network_new(ints.buf, (size_t)ints.len / 4, floats.buf, (size_t)floats.len / 4,
                                    weights.buf, (size_t)weights.len);
        if (self->network == NULL) {
            PyErr_SetString(PyExc_ValueError, "the arrays of the network do not fit together");
            Py_DECREF(self);
            self = NULL;
        }
    }
    PyBuffer_Release(&ints);
    PyBuffer_Release(&floats);
    PyBuffer_Release(&weights);
    return (PyObject *)self;
}

static void network_dealloc(NetworkObject *self)
{
    PyTypeObject *type = Py_TYPE((PyObject *)self);
    network_free(self->network);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

static PyObject *network_reset_method(NetworkObject *self, PyObject *unused)
{
    (void)unused;
    network_reset(self->network);
    Py_RETURN_NONE;
}

static PyObject *network_step_method(NetworkObject *self, PyObject *args)
{
    PyObject *log_mel, *scores;
    Py_buffer in, out;
    if (!PyArg_ParseTuple(args, "OO", &log_mel, &scores))
        return NULL;
    if (!borrow(log_mel, &in, 0, sizeof(float) * STEP_FRAMES * N_MELS, "log_mel"))
        return NULL;
    if (!borrow(scores, &out, 1, (Py_ssize_t)sizeof(float) * network_keywords(self->network), "scores")) {
        PyBuffer_Release(&in);
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    network_step(self->network, in.buf, out.buf);
    Py_END_ALLOW_THREADS
    PyBuffer_Release(&in);
    PyBuffer_Release(&out);
    Py_RETURN_NONE;
}

/* Both halves of a step in one call. */
static PyObject *network_hear_method(NetworkObject *self, PyObject *args)
{
    PyObject *front_end, *samples, *scores;
    Py_buffer in, out;
    float frames[LOG_MEL_FRAMES * LOG_MEL_BANDS];
    if (!PyArg_ParseTuple(args, "O!OO", log_mel_type, &front_end, &samples, &scores))
        return NULL;
    if (!borrow(samples, &in, 0, sizeof(int16_t) * STEP_SAMPLES, "samples"))
        return NULL;
    if (!borrow(scores, &out, 1, (Py_ssize_t)sizeof(float) * network_keywords(self->network), "scores")) {
        PyBuffer_Release(&in);
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    log_mel_step(((LogMelObject *)front_end)->front_end, in.buf, frames);
    network_step(self->network, frames, out.buf);
    Py_END_ALLOW_THREADS
    PyBuffer_Release(&in);
    PyBuffer_Release(&out);
    Py_RETURN_NONE;
}

static PyObject *log_mel_create(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    PyObject *window, *filters;
    Py_buffer window_view, filters_view;
    (void)kwargs;
    if (!PyArg_ParseTuple(args, "OO", &window, &filters))
        return NULL;
    if (!borrow(window, &window_view, 0, sizeof(double) * 400, "window"))
        return NULL;
    if (!borrow(filters, &filters_view, 0, sizeof(float) * 256 * LOG_MEL_BANDS, "filters")) {
        PyBuffer_Release(&window_view);
        return NULL;
    }
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    LogMelObject *self = (LogMelObject *)allocate(type, 0);
    if (self != NULL) {
        self->front_end = log_mel_new(window_view.buf, filters_view.buf);
        if (self->front_end == NULL) {
            PyErr_NoMemory();
            Py_DECREF(self);
            self = NULL;
        }
    }
    PyBuffer_Release(&window_view);
    PyBuffer_Release(&filters_view);
    return (PyObject *)self;
}

static void log_mel_dealloc(LogMelObject *self)
{
    PyTypeObject *type = Py_TYPE((PyObject *)self);
    log_mel_free(self->front_end);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

static PyObject *log_mel_reset_method(LogMelObject *self, PyObject *unused)
{
    (void)unused;
    log_mel_reset(self->front_end);
    Py_RETURN_NONE;
}

static PyObject *log_mel_step_method(LogMelObject *self, PyObject *args)
{
    PyObject *samples, *frames;
    Py_buffer in, out;
    if (!PyArg_ParseTuple(args, "OO", &samples, &frames))
        return NULL;
    if (!borrow(samples, &in, 0, sizeof(int16_t) * STEP_SAMPLES, "samples"))
        return NULL;
    if (!borrow(frames, &out, 1, sizeof(float) * LOG_MEL_FRAMES * LOG_MEL_BANDS, "frames")) {
        PyBuffer_Release(&in);
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    log_mel_step(self->front_end, in.buf, out.buf);
    Py_END_ALLOW_THREADS
    PyBuffer_Release(&in);
    PyBuffer_Release(&out);
    Py_RETURN_NONE;
}

static PyMethodDef network_methods[] = {
    {"reset", (PyCFunction)network_reset_method, METH_NOARGS, "Back to the initial state."},
    {"step", (PyCFunction)network_step_method, METH_VARARGS, "step(log_mel, scores): writes into scores."},
    {"hear", (PyCFunction)network_hear_method, METH_VARARGS,
     "hear(front_end, samples, scores): the front end's step and then this one's, writes into scores."},
    {NULL, NULL, 0, NULL},
};
static PyType_Slot network_slots[] = {
    {Py_tp_new, network_create},
    {Py_tp_dealloc, network_dealloc},
    {Py_tp_methods, network_methods},
    {Py_tp_doc, "Network(ints, floats, weights): the arrays that mirror_device.engine packs."},
    {0, NULL},
};
static PyType_Spec network_spec = {"mirror_device._native.Network", sizeof(NetworkObject), 0, Py_TPFLAGS_DEFAULT,
                                   network_slots};

static PyMethodDef log_mel_methods[] = {
    {"reset", (PyCFunction)log_mel_reset_method, METH_NOARGS, "Forget the past."},
    {"step", (PyCFunction)log_mel_step_method, METH_VARARGS, "step(samples, frames): writes into frames."},
    {NULL, NULL, 0, NULL},
};
static PyType_Slot log_mel_slots[] = {
    {Py_tp_new, log_mel_create},
    {Py_tp_dealloc, log_mel_dealloc},
    {Py_tp_methods, log_mel_methods},
    {Py_tp_doc, "LogMel(window, filters): the front end."},
    {0, NULL},
};
static PyType_Spec log_mel_spec = {"mirror_device._native.LogMel", sizeof(LogMelObject), 0, Py_TPFLAGS_DEFAULT,
                                   log_mel_slots};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_native", "The front end and the int8 network, in C.", -1, NULL, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__native(void)
{
    PyObject *module = PyModule_Create(&definition);
    if (module == NULL)
        return NULL;
    PyObject *network = PyType_FromSpec(&network_spec), *log_mel = PyType_FromSpec(&log_mel_spec);
    if (network == NULL || log_mel == NULL || PyModule_AddObjectRef(module, "Network", network) < 0 ||
        PyModule_AddObjectRef(module, "LogMel", log_mel) < 0) {
        Py_DECREF(module);
        Py_XDECREF(log_mel);
        module = log_mel = NULL;
    }
    Py_XDECREF(network);
    log_mel_type = log_mel; /* a reference of its own */
    return module;
}
