# Copyright 2026 sast_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The interface packages speak the wire format and carry the type hash of the official ones."""

from __future__ import annotations

import array
import importlib
import os
import random
import re
import shutil
import subprocess

import pytest

rclpy = pytest.importorskip('rclpy', reason='ROS 2 is not installed')
serialization = pytest.importorskip('rclpy.serialization')

# EventPacket: stored in a bag that the real driver recorded. vision_msgs: from a build of the
# official vision_msgs 4.1; for BoundingBox3DArray and Detection3DArray no such record was found,
# their fields were compared by hand. dvs_msgs has no release for ROS 2: its fields are those of
# the ROS 1 package, and the hash guards against change.
TYPE_HASHES = {
    'dvs_msgs/msg/Event': '51cfc8e311acf01bf39b01e0e8f2fee8f9fa97e7979cf505c0610c8a8bc3fc3a',
    'dvs_msgs/msg/EventArray': '0ea4aa5f4670adab1336550158b2e3c9bf60fe515a284c4215ed605bd559c995',
    'event_camera_msgs/msg/EventPacket': (
        'd6fa176260b1f37e5a40845305315e150a0f18191241eb64f407442aa29844aa'
    ),
    'vision_msgs/msg/BoundingBox2D': (
        '008eacbb0cf8f26e83795547bed013eec3675485ef386ec056d80eaaf1c1ce2f'
    ),
    'vision_msgs/msg/BoundingBox2DArray': (
        '2464e82838009386d371b523211c21c91d74d313fcdd6788223c531d621cf691'
    ),
    'vision_msgs/msg/BoundingBox3D': (
        'bbb73a65c163d7f9bb29009c7bde9f7faa576bd2d23299c4511d19230dab4698'
    ),
    'vision_msgs/msg/BoundingBox3DArray': (
        'a81938db9576b10c2eecd7c5a5da3eac496efd00221b25ed051dfbc81fb56da6'
    ),
    'vision_msgs/msg/Classification': (
        'f74db28d0eaef3afb78f48bf2161cd709a1383a0309d3454383b25be11345143'
    ),
    'vision_msgs/msg/Detection2D': (
        '0d12b69df5c593b3455b7346fac8205437a7d4bcb09b9e0e0b2dde787ded38ea'
    ),
    'vision_msgs/msg/Detection2DArray': (
        '214274120007f4a683866481336b70310268cfa107aebe9d594a6acf75bda968'
    ),
    'vision_msgs/msg/Detection3D': (
        'ddd703be132ab0b69d33121f1bb034132bfbb3b0ac5f9fb1516005ba1c8a265b'
    ),
    'vision_msgs/msg/Detection3DArray': (
        '793f5eab9595ac1c0da07873cc859db42eae51f0ee76056db8562515d830e018'
    ),
    'vision_msgs/msg/LabelInfo': (
        '3d37df4015cdf660cc851c51897f2acd957e1ca6205ba0a99aebffb9406b0783'
    ),
    'vision_msgs/msg/ObjectHypothesis': (
        '51da43cec11c01957a64d1e05a24acd18aae7745ec30b74348ad5f6d634f7f90'
    ),
    'vision_msgs/msg/ObjectHypothesisWithPose': (
        '41c12344c0396c48b81df12467c192d99b2a0eb1463c5c37194e4223251c80bc'
    ),
    'vision_msgs/msg/Point2D': 'eab0e83f44ab4de92ceaf76dd7d0e7638f2bdd1d16ffbe16c7a136c48e407247',
    'vision_msgs/msg/Pose2D': 'b0b5d1d7b4c20dd4fcde3ed1d4b289a919290572007d67a97043814db25d3648',
    'vision_msgs/msg/VisionClass': (
        '1e4a11f0fed50b5623cb8ff26ca0e37952a48a9c074d16f804b44e9164c2037a'
    ),
    'vision_msgs/msg/VisionInfo': (
        '95d3116a17484ad91c9a2686e1d54890bbfc3ff6c6a2de137738c4950d45d284'
    ),
}

INTEGER_BITS = re.compile(r'^(u?)int(8|16|32|64)$')
ARRAY_CODES = {'uint8': 'B', 'double': 'd', 'float': 'f'}


def message_class(name: str) -> type:
    package, _, message = name.replace('/msg/', '/').partition('/')
    return getattr(importlib.import_module(f'{package}.msg'), message)


def random_value(type_name: str, source: random.Random) -> object:
    """
    Make a value of a field type, as rosidl spells it, that differs from its default.

    It does so in every part.
    """
    sequence = re.fullmatch(r'sequence<(.+)>', type_name) or re.fullmatch(
        r'(.+)\[(\d+)\]', type_name
    )
    if sequence:
        element = sequence.group(1)
        length = int(sequence.group(2)) if sequence.lastindex == 2 else source.randint(2, 5)
        values = [random_value(element, source) for _ in range(length)]
        return array.array(ARRAY_CODES[element], values) if element in ARRAY_CODES else values
    integer = INTEGER_BITS.match(type_name)
    if integer:
        bits = int(integer.group(2))
        return (
            source.randint(1, 2**bits - 1)
            if integer.group(1)
            else -source.randint(1, 2 ** (bits - 1))
        )
    if type_name == 'boolean':
        return True
    if type_name == 'double':
        return source.uniform(1.0, 1e6)
    if type_name == 'float':
        return source.randint(1, 2**20) / 64  # exact in single precision
    if type_name == 'string':
        return f'text {source.randint(1, 999)} \u00e4\u4e8b'
    return random_message(message_class(type_name), source)


def random_message(kind: type, source: random.Random) -> object:
    fields = kind.get_fields_and_field_types()
    return kind(**{name: random_value(type_name, source) for name, type_name in fields.items()})


@pytest.mark.parametrize('name', TYPE_HASHES)
def test_every_field_survives_serialisation(name):
    kind = message_class(name)
    message = random_message(kind, random.Random(name))
    for field in kind.get_fields_and_field_types():
        default = getattr(kind(), field)
        filled = getattr(message, field)
        assert (
            list(filled) != list(default)
            if isinstance(default, (list, array.array))
            else filled != default
        ), field
    again = serialization.deserialize_message(serialization.serialize_message(message), kind)
    # As text: messages with fixed-size arrays cannot be compared with ==. (Nor can the bytes:
    # padding is not cleared.)
    assert repr(again) == repr(message)


def test_vision_msgs_is_complete():
    published = {
        name.rpartition('/')[2] for name in TYPE_HASHES if name.startswith('vision_msgs/')
    }
    module = importlib.import_module('vision_msgs.msg')
    assert {name for name in vars(module) if name[0].isupper()} == published


def test_the_hashes_on_the_wire_are_those_of_the_official_packages(ros_domain):
    context = rclpy.Context()
    rclpy.init(context=context)
    try:
        node = rclpy.create_node('type_hashes', context=context, start_parameter_services=False)
        announced = {}
        for name in TYPE_HASHES:
            topic = '/' + name.replace('/', '_')
            node.create_publisher(message_class(name), topic, 1)
            (endpoint,) = node.get_publishers_info_by_topic(topic)
            announced[name] = bytes(endpoint.topic_type_hash.value).hex()
        assert announced == TYPE_HASHES
    finally:
        rclpy.shutdown(context=context)


def test_event_array_lies_on_the_wire_as_the_decoder_expects():
    event_type, array_type = (
        message_class('dvs_msgs/msg/Event'),
        message_class('dvs_msgs/msg/EventArray'),
    )
    raw = serialization.serialize_message(
        array_type(events=[event_type(x=1, y=2, polarity=True)] * 7)
    )
    empty = serialization.serialize_message(array_type())
    # 16 bytes an event, and no padding behind the last polarity (WIRE_FORMATS).
    assert len(raw) - len(empty) == 16 * 7 - 3


DOWNSTREAM = """
cmake_minimum_required(VERSION 3.8)
project(downstream CXX)
set(CMAKE_CXX_STANDARD 17)
find_package(vision_msgs REQUIRED)
add_executable(boxes boxes.cpp)
target_include_directories(boxes PRIVATE ${vision_msgs_INCLUDE_DIRS})
target_link_libraries(boxes vision_msgs::vision_msgs__rosidl_generator_cpp)
"""

BOXES = """
#include <iostream>
#include <vision_msgs/create_aabb.hpp>
#include <vision_msgs/msg/detection2_d_array.hpp>

int main() {
  vision_msgs::msg::Detection2D detection;
  detection.bbox = vision_msgs::createAABB2D(3, 4, 5, 7);
  const auto &flat = detection.bbox;
  const auto solid = vision_msgs::createAABB3D(1, 2, 3, 4, 5, 7);
  std::cout << flat.center.position.x << ' ' << flat.center.position.y << ' '
            << flat.center.theta << ' ' << flat.size_x << ' ' << flat.size_y << '\\n'
            << solid.center.position.x << ' ' << solid.center.position.y << ' '
            << solid.center.position.z << ' ' << solid.center.orientation.w << ' '
            << solid.size.x << ' ' << solid.size.y << ' ' << solid.size.z << '\\n';
}
"""


@pytest.mark.skipif(not shutil.which('cmake'), reason='CMake is not installed')
def test_cpp_packages_find_the_header_of_vision_msgs(tmp_path):
    (tmp_path / 'CMakeLists.txt').write_text(DOWNSTREAM)
    (tmp_path / 'boxes.cpp').write_text(BOXES)
    prefix = os.environ['AMENT_PREFIX_PATH'].replace(':', ';')
    for step in (
        ['-S', '.', '-B', 'build', f'-DCMAKE_PREFIX_PATH={prefix}'],
        ['--build', 'build'],
    ):
        result = subprocess.run(['cmake', *step], cwd=tmp_path, capture_output=True, text=True)
        assert result.returncode == 0, result.stdout + result.stderr
    found = subprocess.run([tmp_path / 'build' / 'boxes'], capture_output=True, text=True)
    assert [float(x) for x in found.stdout.split()] == [5.5, 7.5, 0, 5, 7, 3, 4.5, 6.5, 1, 4, 5, 7]
